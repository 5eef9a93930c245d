"""The page as people see it: live, on a phone, in three languages, light and dark, without scripts, without the net."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, expect

from gateway.core.model import Condition, Event, Priority
from gateway.web.app import fault_app
from tests.browser.conftest import DESKTOP, PHONE, Site, tab
from tests.gateway.house import Bed, House
from tests.gateway.web.conftest import page_of
from tests.gateway.web.test_fault_page import broken
from tests.gateway.web.test_pages import HOSTILE

pytestmark = [pytest.mark.system, pytest.mark.asyncio(loop_scope="session")]

PATHS = ("", "alarms", "devices", "system", "alarms/a-1")
SMALLEST_TARGET_PX = 44
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3

CONTRAST_JS = Path(__file__).with_name("contrast.js").read_text()
COVERED_JS = """
() => {
  const banner = document.getElementById("banner"), box = banner.getBoundingClientRect();
  return [box.top, banner.contains(document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2))];
}
"""
OVERFLOWING_JS = """
() => [...document.querySelectorAll(".card")].filter((card) => card.scrollWidth > card.clientWidth)
  .map((card) => card.textContent.slice(0, 60))
"""
TARGETS_JS = """
(least) => [...document.querySelectorAll('a, button, input:not([type=hidden]), select')]
  .filter((e) => e.checkVisibility() && !e.matches('.skip'))
  .map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
  .filter(([, box]) => box.height < least || box.width < least)
  .map(([html, box]) => `${html} ${box.width}x${box.height}`)
"""


def lively(house: House) -> None:
    """A night with everything on the page at once."""
    house.measured("heart_rate", 62, quality=0.93)
    house.measured("respiration_rate", 14, quality=0.81)
    house.measured("bed_occupied", 1)
    house.measured("systolic", 128, device="kiosk", origin="device")
    house.measured("heart_rate", 71, bed="b-00000002", device="belt-2")
    house.measured("bed_occupied", 0, bed="b-00000002", device="belt-2")
    house.model.saw_event(Event("bed_exited", house.clock.now(), "b-00000002", "belt-2"))
    house.alarm("fall", id="a-1")
    house.alarm("uplink_lost", id="a-2", bed=None, priority=Priority.MEDIUM)
    sensor = house.alarm("sensor_lost", id="a-3", bed="b-00000002", priority=Priority.LOW)
    closed = replace(sensor, id="a-4", outcome="repaired", closed=house.clock.now(), condition=Condition.INACTIVE)
    house.model.saw_alarm(closed)
    house.memory.known = [closed]
    lost = Event("link_lost", house.clock.now(), "b-00000001", "band-1", {"reason": "no advert for 30 s"})
    house.model.saw_event(lost)
    house.model.saw_rejection("belt-1", "checksum", b"\xa5\x5a\x10\x00\x3c", 3)
    house.model.saw_loss("belt-1", "bed.wave", 42)
    house.model.saw_sign_of_life("button-1", house.clock.now(), -67)
    house.model.saw_state("worker", "ready", "")
    house.model.saw_state("store", "ready", "")
    house.model.saw_state("signal.lamp", "high_2")
    house.model.watch_gauge("worker_queued_blocks", lambda: 0.0)
    house.model.saw_uplink("district", "lost", "the broker refused the connection")
    house.memory.marks = {"summary": {"lo": 1, "hi": 1290, "acked_hi": 60, "pruned_lo": 0}}


async def test_every_page_in_every_language_and_light_is_readable_and_fetches_nothing_from_elsewhere(
    house: House, site: Site, browser: Browser, shots: Path
) -> None:
    lively(house)
    for size, kind in ((PHONE, "phone"), (DESKTOP, "desktop")):
        for language in ("zh", "en", "fr"):
            for dark in (False, True):
                async with tab(browser, size, dark=dark, phone=kind == "phone") as (page, witness):
                    for path in PATHS:
                        await page.goto(f"{site.url}{path}?lang={language}")
                        await expect(page.locator("footer")).to_be_visible()
                        shown = (path or "ward").replace("/", "-")
                        name = f"{shown}-{kind}-{language}-{'dark' if dark else 'light'}.png"
                        await page.screenshot(path=shots / name, full_page=True)
                        assert await page.evaluate(CONTRAST_JS, LEAST_CONTRAST) == [], name
                        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
                        assert await page.evaluate(OVERFLOWING_JS) == [], name
                    assert witness.complaints == []
                    assert {urlsplit(url).hostname for url in witness.requests} == {"127.0.0.1"}


async def test_every_target_on_a_phone_is_large_enough_for_a_thumb(
    house: House, site: Site, browser: Browser
) -> None:
    lively(house)
    async with tab(browser, PHONE, phone=True) as (page, _):
        for path in PATHS:
            await page.goto(site.url + path)
            assert await page.evaluate(TARGETS_JS, SMALLEST_TARGET_PX) == [], path


async def test_an_open_page_follows_the_bed_without_a_reload(house: House, site: Site, browser: Browser) -> None:
    house.measured("heart_rate", 62)
    async with tab(browser, DESKTOP) as (page, _):
        await page.goto(site.url)
        await page.evaluate("window.untouched = true")
        await expect(page.locator(".figure").first).to_have_text("62")
        house.measured("heart_rate", 71)
        await expect(page.locator(".figure").first).to_have_text("71", timeout=4000)
        assert await page.evaluate("window.untouched")


async def test_an_alarm_reaches_an_open_page_and_its_title_within_three_seconds(
    house: House, site: Site, browser: Browser
) -> None:
    async with tab(browser, DESKTOP) as (page, _):
        await page.goto(site.url)
        await expect(page.locator(".alarm-line")).to_have_text("No open alarm")
        house.alarm("fall")
        await expect(page.locator(".alarm .what").first).to_contain_text("Possible fall", timeout=3000)
        await expect(page).to_have_title("(1) Ward – carebed")


async def test_a_carer_acknowledges_and_closes_an_alarm_in_three_taps_from_the_ward(
    house: House, site: Site, browser: Browser
) -> None:
    house.alarm("fall")
    async with tab(browser, PHONE, phone=True) as (page, witness):
        await page.goto(site.url)
        await page.locator(".card .alarm").first.tap()
        await page.get_by_label("Your name or staff number").first.fill("N-12")
        await page.get_by_role("button", name="Acknowledge").tap()
        await expect(page.locator(".done")).to_contain_text("Acknowledged and stored.")
        await expect(page.locator(".answer")).to_contain_text("N-12")
        await page.get_by_label("Your name or staff number").fill("N-12")
        await page.get_by_label("Outcome").select_option("helped")
        await page.get_by_role("button", name="Close the alarm").tap()
        await expect(page.locator(".done")).to_contain_text("Closed and stored.")
        assert witness.complaints == []
    assert house.model.open_alarms() == ()


async def test_what_is_being_typed_survives_live_updates(house: House, site: Site, browser: Browser) -> None:
    house.alarm("fall")
    async with tab(browser, DESKTOP) as (page, _):
        await page.goto(f"{site.url}alarms/a-1")
        name = page.get_by_label("Your name or staff number").first
        await name.fill("N-1")
        alarm = house.model.find_alarm("a-1")
        assert alarm is not None
        house.model.saw_alarm(replace(alarm, rev=2, escalation=1))
        await expect(page.locator(".facts")).to_contain_text("Escalation step", timeout=4000)
        await expect(name).to_have_value("N-1")
        await expect(name).to_be_focused()


async def test_the_keyboard_keeps_its_place_while_cards_are_replaced(
    house: House, site: Site, browser: Browser
) -> None:
    house.alarm("fall")
    house.measured("heart_rate", 62)
    async with tab(browser, DESKTOP) as (page, _):
        await page.goto(site.url)
        await page.locator(".card .alarm").first.focus()
        house.measured("heart_rate", 75)
        await expect(page.locator(".figure").first).to_have_text("75", timeout=4000)
        await expect(page.locator(".card .alarm").first).to_be_focused()


async def test_a_gateway_that_goes_away_is_said_in_words_and_the_page_recovers_by_itself(
    house: House, site: Site, browser: Browser
) -> None:
    house.measured("heart_rate", 62)
    async with tab(browser, DESKTOP) as (page, _):
        await page.goto(site.url)
        await expect(page.locator("#lost")).to_be_hidden()
        await site.stop()
        await expect(page.locator("#lost")).to_be_visible(timeout=6000)
        house.measured("heart_rate", 80)
        await site.start()
        await expect(page.locator("#lost")).to_be_hidden(timeout=8000)
        await expect(page.locator(".figure").first).to_have_text("80")


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
async def test_the_demonstration_banner_stays_on_top_and_cannot_be_dismissed(
    house: House, site: Site, browser: Browser, size: dict[str, int]
) -> None:
    lively(house)
    async with tab(browser, size, phone=size is PHONE) as (page, _):
        for path in PATHS:
            await page.goto(site.url + path)
            await page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            assert await page.evaluate(COVERED_JS) == [0, True]
            assert await page.locator("#banner :is(a, button, input)").count() == 0


async def test_without_scripts_every_page_is_complete_and_forms_work(
    house: House, site: Site, browser: Browser
) -> None:
    lively(house)
    async with tab(browser, PHONE, scripts=False) as (page, _):
        for path in PATHS:
            answer = await page.goto(site.url + path)
            assert answer is not None
            assert answer.ok
        await page.get_by_label("Your name or staff number").first.fill("N-12")
        await page.get_by_role("button", name="Acknowledge").click()
        await expect(page.locator(".done")).to_be_visible()


async def test_hostile_labels_neither_run_nor_break_the_layout(browser: Browser, shots: Path) -> None:
    house = House(beds=[Bed(f"{label}{number}", label) for number, label in enumerate(HOSTILE)])
    house.alarm(rule="<script>alert(1)</script>", bed=f"{HOSTILE[0]}0")
    site = Site(lambda: page_of(house))
    await site.start()
    try:
        async with tab(browser, PHONE, phone=True) as (page, witness):
            dialogs: list[str] = []
            page.on("dialog", lambda dialog: dialogs.append(dialog.message))
            await page.goto(site.url)
            await page.screenshot(path=shots / "hostile.png", full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert await page.locator("article.card").count() == len(HOSTILE)
            assert dialogs == []
            assert witness.complaints == []
    finally:
        await site.stop()


async def test_the_fault_page_is_readable_on_a_phone(browser: Browser, shots: Path) -> None:
    site = Site(lambda: fault_app(broken()))
    await site.start()
    try:
        async with tab(browser, PHONE, phone=True) as (page, _):
            await page.goto(f"{site.url}?lang=zh")
            await page.screenshot(path=shots / "fault-phone-zh.png", full_page=True)
            assert await page.locator(".faults li").count() == 12
            assert await page.evaluate(CONTRAST_JS, LEAST_CONTRAST) == []
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        await site.stop()
