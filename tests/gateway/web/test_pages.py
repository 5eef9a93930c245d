"""What each page says, in which language, and that nothing put into it becomes markup."""

import html
import re
from zoneinfo import ZoneInfo

import httpx
import pytest

from drivers.base import Device
from gateway.core.model import Event, Measurement, Mode, Status
from gateway.texts import LANGUAGES, load
from gateway.web.app import create_app
from gateway.web.render import Surroundings
from tests.gateway.house import Bed, House
from tests.gateway.web.conftest import BASE, page_of

PATHS = ("/", "/alarms", "/devices", "/system", "/alarms/a-1")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}",
    "\u202egnp.exe\u202c",
    "👵🏽🛏️" * 20,
    "x" * 3000,
    "' OR 1=1 --",
    "javascript:alert(1)",
)


def client_of(house: House, language: str = "en") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=page_of(house, language), client=("127.0.0.1", 40_000))
    return httpx.AsyncClient(transport=transport, base_url=BASE)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_speaks_every_language(house: House, path: str, language: str) -> None:
    house.alarm()
    house.measured("heart_rate", 62)
    async with client_of(house, language) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert load(language)("honest.device") in html.unescape(answer.text)
    others = [load(other)("page.foot.honest") for other in LANGUAGES if other != language]
    assert not any(f"<h2 id=\"honest\">{other}" in answer.text for other in others)


@pytest.mark.parametrize("path", PATHS)
async def test_the_four_honest_words_stand_at_the_foot_of_every_page(house: House, path: str) -> None:
    house.alarm()
    texts = load("en")
    async with client_of(house) as client:
        text = html.unescape((await client.get(path)).text)
    for key in ("device", "thresholds", "falls", "link"):
        assert texts(f"honest.{key}") in text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mode", [Mode.DEMO, Mode.TEST])
async def test_every_page_of_a_demonstration_or_a_test_says_so_on_top(path: str, mode: Mode) -> None:
    house = House(mode=mode)
    house.alarm()
    async with client_of(house) as client:
        body = (await client.get(path)).text.partition("<body>")[2]
    assert body.lstrip().startswith('<p class="banner"')
    assert load("en")(f"page.banner.{mode.value}") in body


async def test_no_banner_in_service() -> None:
    async with client_of(House(mode=Mode.REAL)) as client:
        assert 'class="banner"' not in (await client.get("/")).text


async def test_both_beds_are_on_the_ward_page_with_rates_quality_and_age(
    house: House, client: httpx.AsyncClient
) -> None:
    house.measured("heart_rate", 62, quality=0.8)
    house.measured("respiration_rate", 14)
    house.measured("bed_occupied", 1)
    house.clock.shift(3)
    text = (await client.get("/")).text
    assert "b-00000001" in text
    assert "b-00000002" in text
    assert re.search(r'class="figure">62</span> /min\s*<span class="fine">3 s ago · quality 80%', text)
    assert "In bed" in text
    assert "Occupancy unknown" in text


async def test_a_stale_value_is_called_old_in_words(house: House, client: httpx.AsyncClient) -> None:
    house.measured("heart_rate", 62)
    house.clock.shift(300)
    text = (await client.get("/")).text
    assert "<strong>Old</strong> · 5 min ago" in text


async def test_an_alarm_stands_on_the_ward_page_with_icon_word_and_priority(
    house: House, client: httpx.AsyncClient
) -> None:
    house.alarm("fall")
    text = (await client.get("/")).text
    assert "Possible fall" in text
    assert "High priority" in text
    assert "icons.svg#warning" in text
    assert "(1) Ward" in text


async def test_the_alarm_page_says_what_to_do(house: House, client: httpx.AsyncClient) -> None:
    house.alarm("no_vital_sign")
    assert "Check the person first, the sensor afterwards." in (await client.get("/alarms/a-1")).text


async def test_no_alarm_at_all_is_said_in_words(client: httpx.AsyncClient) -> None:
    assert "No open alarm" in (await client.get("/")).text
    assert "There has been no alarm yet." in (await client.get("/alarms")).text


async def test_a_site_without_beds_says_how_to_get_some() -> None:
    async with client_of(House(beds=())) as client:
        assert "carebed provision import" in (await client.get("/")).text


async def test_the_device_page_shows_losses_and_rejections_by_reason(house: House, client: httpx.AsyncClient) -> None:
    house.model.saw_rejection("belt-1", "checksum", b"\xca\xfe", 3)
    house.model.saw_loss("belt-1", "bed.wave", 120)
    house.model.saw_withheld("belt-1", {"heart_rate": "saturated"})
    lost = Event("link_lost", house.clock.now(), "b-00000001", "belt-1", {"reason": "the port is gone"})
    house.model.saw_event(lost)
    text = (await client.get("/devices")).text
    assert "<bdi>checksum</bdi>: 3" in text
    assert "<code>ca fe</code>" in text
    assert "<bdi>bed.wave</bdi>: 120" in text
    assert "the port is gone" in text
    assert "the sensor is at the end of its range" in text


RADAR = Device("radar", "r60abd1", "r60abd1", "port", "b-00000001")
BUTTON = Device("button-1", "bthome", "shelly_blu_button1", "radio", "b-00000001", settings={"purpose": "sos"})


@pytest.mark.parametrize(("status", "shown"), [(Status.OVER, ">33.3 mmol/L"), (Status.UNDER, "<33.3 mmol/L")])
async def test_a_reading_beyond_the_range_is_shown_as_its_limit_with_a_sign(
    house: House, client: httpx.AsyncClient, status: Status, shown: str
) -> None:
    reading = Measurement(
        "b-00000001", "meter", "glucose", 33.3, "mmol/L", house.clock.now(), status=status
    )
    house.model.saw_measurement(reading)
    text = html.unescape((await client.get("/")).text)
    assert f"<strong>{shown}</strong>" in text
    assert load("en")(f"status.{status.value}") in text


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_device_page_says_what_a_device_cannot_see_and_which_call_for_help_needs_a_test(
    house: House, language: str
) -> None:
    texts = load(language)
    house.model.set_inventory([Bed("b-00000001", "101")], [RADAR, BUTTON], 8)
    house.model.watch_blind(lambda: [("heart_rate_low", "b-00000001", "heart_rate")])
    async with client_of(house, language) as client:
        text = html.unescape((await client.get("/devices")).text)
    assert texts("page.device.range", low=60, high=120) in text
    assert texts("page.device.late", span=texts.span(30)) in text
    assert texts("sos.unsupervised") in text
    assert texts("sos.test_due") in text
    assert f"</bdi>: {texts('rule.heart_rate_low')} ({texts('quantity.heart_rate')})" in text


async def test_the_device_page_says_worn_and_charging_of_what_tells_them_and_nothing_of_the_rest(
    house: House, client: httpx.AsyncClient
) -> None:
    texts = load("en")
    assert texts("state.not_worn") not in (await client.get("/devices")).text
    house.measured("worn", 0, device="band-1")
    assert texts("state.not_worn") in (await client.get("/devices")).text
    house.model.saw_event(Event("charging_started", house.clock.now(), "b-00000001", "band-1"))
    assert f"<dd>{texts('state.charging')}</dd>" in (await client.get("/devices")).text


async def test_a_pressed_button_shows_until_when_its_test_counts(house: House, client: httpx.AsyncClient) -> None:
    house.model.set_inventory([Bed("b-00000001", "101")], [BUTTON], 8)
    house.model.saw_event(Event("sos_pressed", house.clock.now(), "b-00000001", "button-1"))
    text = (await client.get("/devices")).text
    assert load("en")("sos.test_due") not in text
    assert load("en")("sos.test_by", date="") in text


async def test_the_system_page_shows_parts_uplinks_and_backlog(house: House, client: httpx.AsyncClient) -> None:
    house.model.saw_state("worker", "degraded", "restarted twice")
    house.memory.marks = {"summary": {"lo": 1, "hi": 1290, "acked_hi": 60, "pruned_lo": 0}}
    text = (await client.get("/system")).text
    for expected in ("Signal worker", "Degraded", "restarted twice", "district", "1230 rows", "00000001", "0.1.0"):
        assert expected in text


@pytest.mark.parametrize("label", HOSTILE)
@pytest.mark.parametrize("path", PATHS)
async def test_hostile_labels_stay_text(label: str, path: str) -> None:
    house = House(beds=[Bed(label, label), Bed("b-2", label)])
    house.alarm(rule=label, bed=label)
    house.measured("heart_rate", 60, bed=label)
    house.model.saw_rejection("belt-1", label, b"", 1)
    lost = Event(label, house.clock.now(), label, "belt-1", {"reason": label})
    house.model.saw_event(lost)
    house.model.saw_event(Event("link_lost", house.clock.now(), label, "belt-1", {"reason": label}))
    house.model.saw_state(label, label, label)
    async with client_of(house) as client:
        answer = await client.get(path)
        fragment = await client.get("/live/ward")
    assert answer.status_code == 200
    for text in (answer.text, fragment.text):
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "49" not in re.findall(r"<bdi>(.*?)</bdi>", text)
        assert 'href="javascript' not in text


async def test_a_right_to_left_label_is_isolated_from_its_surroundings() -> None:
    house = House(beds=[Bed("b-\u202e1", "שלום")])
    async with client_of(house) as client:
        text = (await client.get("/")).text
    assert "<bdi>b-\u202e1</bdi>" in text


async def test_the_chosen_language_is_remembered(house: House, client: httpx.AsyncClient) -> None:
    await client.get("/?lang=fr")
    assert "Service" in (await client.get("/")).text
    assert '<html lang="fr">' in (await client.get("/alarms")).text


async def test_an_unknown_language_is_ignored(client: httpx.AsyncClient) -> None:
    answer = await client.get("/?lang=../../etc/passwd")
    assert '<html lang="en">' in answer.text
    assert "carebed_language" not in answer.cookies


async def test_times_are_local_to_the_site(house: House) -> None:
    house.alarm()  # 20:00 UTC
    surroundings = Surroundings(Mode.DEMO, ZoneInfo("Asia/Shanghai"), "zh")
    app = create_app(house.model, house.commands, surroundings, house.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as client:
        assert "2026年11月25日 04:00" in (await client.get("/alarms")).text


async def test_signed_thresholds_are_no_longer_called_defaults(house: House) -> None:
    surroundings = Surroundings(Mode.REAL, ZoneInfo("UTC"), "en", signed=True)
    app = create_app(house.model, house.commands, surroundings, house.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as client:
        text = (await client.get("/")).text
    assert "from a signed rule bundle" in text
    assert "defaults, not signed" not in text


async def test_an_unknown_page_is_answered_in_words_and_with_a_way_back(client: httpx.AsyncClient) -> None:
    answer = await client.get("/nothing")
    assert answer.status_code == 404
    assert "There is no such page." in answer.text
    assert 'href="/"' in answer.text


@pytest.mark.parametrize("path", PATHS)
async def test_no_page_has_inline_code_or_fetches_from_elsewhere(
    house: House, path: str, client: httpx.AsyncClient
) -> None:
    house.alarm()
    text = (await client.get(path)).text
    assert not re.search(r"<script(?![^>]*src=)", text)
    assert not re.search(r"\son\w+=|\sstyle=|<style", text)
    assert not re.search(r"(src|href|action)=\"(https?:|//)", text)


async def test_the_fragment_holds_the_same_live_part_as_the_page(house: House, client: httpx.AsyncClient) -> None:
    house.measured("heart_rate", 62)
    page, fragment = (await client.get("/")).text, (await client.get("/live/ward")).text

    def live(text: str) -> str:
        inside = text.partition('<div id="live"')[2].partition(">")[2]
        return inside.partition("</main>")[0].partition("</body>")[0].strip().removesuffix("</div>").strip()

    assert live(page) == live(fragment)
    assert "<form" not in fragment


async def test_a_kiosk_reading_stands_in_its_bed_with_unit_and_age(house: House, client: httpx.AsyncClient) -> None:
    house.measured("systolic", 128, device="kiosk", origin="device")
    text = (await client.get("/")).text
    assert "Systolic pressure <strong>128 mmHg</strong>" in text
