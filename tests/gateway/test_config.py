"""The installer's file: every fault at once, each on its line, with a hint; and what a good file becomes."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.serial_link import Format
from gateway.config import SECTIONS, Config, Serial, documented_keys, load, parse, salvage
from gateway.config_checks import is_loopback
from gateway.core.errors import ConfigError, Fault
from gateway.core.model import Mode

GOOD = """
[site]
gateway = "gw-3F2A9C"
site = "s-7Q4MZ2K9"
time_zone = "Asia/Shanghai"

[[serial]]
name = "belt-1"
path = "/dev/serial/by-id/usb-FTDI_1"

[[ble]]
name = "onboard"
adapter = "hci0"

[[upstream]]
name = "district"
host = "mqtt.example.org"
tenant = "t1"
responder = true
ca_file = "/etc/carebed/ca.pem"
"""

TWELVE = """\
[site]
gateway = "gw 3F2A9C"
site = s-7Q4MZ2K9
timezone = "Asia/Shanghai"
language = "de"
[clock]
speed = 40.0
origin_real_ns = 1
origin_utc_ns = 2
[page]
port = "8080"
[[serial]]
name = "belt-1"
path = "/dev/ttyUSB0"
baud = 115000
[[serial]]
name = "belt-1"
path = "/dev/serial/by-id/usb-1"
[[ble]]
name = "onboard"
backend = "virtual"
hci = "tcp-client:127.0.0.1:5555"
[[upstream]]
name = "district"
host = "mqtt.example.org"
tenant = "t1"
plaintext = true
[rules]
bundle_key = "AAAA"
"""


def faults_of(text: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return caught.value.faults


def only_fault(text: str) -> Fault:
    (fault,) = faults_of(text)
    return fault


def test_a_good_file_becomes_a_frozen_config_with_safe_defaults() -> None:
    config = parse(GOOD)
    assert config.site.mode is Mode.REAL
    assert config.page.host == "127.0.0.1"
    assert config.serial[0].baud == 115200
    assert config.paths.state_dir == Path("/var/lib/carebed")
    assert config.upstream[0].port == 8883
    assert not config.upstream[0].plaintext
    assert config.zone.key == "Asia/Shanghai"
    with pytest.raises(ValueError, match="frozen"):
        config.site.gateway = "other"


def test_twelve_mistakes_in_one_file_are_twelve_faults_each_on_its_line() -> None:
    assert [(fault.line, fault.key) for fault in faults_of(TWELVE)] == [
        (2, "site.gateway"),
        (3, "site.site"),
        (4, "site.timezone"),
        (5, "site.language"),
        (6, "clock"),
        (11, "page.port"),
        (14, "serial[1].path"),
        (15, "serial[1].baud"),
        (17, "serial[2].name"),
        (21, "ble[1].backend"),
        (27, "upstream[1].plaintext"),
        (29, "rules.bundle_key"),
    ]


def test_every_fault_says_what_to_do() -> None:
    assert all(fault.hint and fault.message for fault in faults_of(TWELVE))


def test_the_error_names_file_line_and_the_command_to_check_again(tmp_path: Path) -> None:
    file = tmp_path / "carebed.toml"
    file.write_text(TWELVE)
    with pytest.raises(ConfigError, match=r"12 faults\n  line 2: site.gateway") as caught:
        load(file)
    assert "check-config" in caught.value.hint


@pytest.mark.parametrize(("wrong", "right"), [("bauds", "baud"), ("pth", "path"), ("fromat", "format")])
def test_an_unknown_key_is_refused_with_the_nearest_known_one(wrong: str, right: str) -> None:
    fault = only_fault(GOOD.replace('path = "/dev', f'{wrong} = 1\npath = "/dev'))
    assert fault.message == "unknown key"
    if wrong != "pth":
        assert fault.hint == f"did you mean {right!r}?"


def test_an_unknown_section_is_refused_with_the_nearest_known_one() -> None:
    fault = only_fault(GOOD + "[pages]\nport = 1\n")
    assert (fault.line, fault.hint) == (GOOD.count("\n") + 1, "did you mean 'page'?")


def test_an_unknown_key_like_no_other_is_answered_with_all_known_ones() -> None:
    assert "state_dir" in only_fault(GOOD + "[paths]\nqqqq = 1\n").hint


def test_a_missing_section_is_a_fault_of_the_whole_file() -> None:
    fault = only_fault("")
    assert (fault.line, fault.key, fault.message) == (0, "site", "is missing")


def test_a_section_written_with_too_few_brackets_is_told_so() -> None:
    text = GOOD.replace("[[serial]]", "[serial]")
    assert "[[serial]]" in only_fault(text).hint


@pytest.mark.parametrize(
    ("line", "key", "word"),
    [
        ('path = "/dev/ttyUSB0"', "serial[1].path", "next boot"),
        ('path = "dev/serial"', "serial[1].path", "relative"),
    ],
)
def test_a_serial_port_that_may_change_is_refused_in_mode_real(line: str, key: str, word: str) -> None:
    faults = faults_of(GOOD.replace('path = "/dev/serial/by-id/usb-FTDI_1"', line))
    assert any(fault.key == key and word in fault.message for fault in faults)


@pytest.mark.parametrize("mode", ["demo", "test"])
def test_demo_and_test_accept_scaled_time_any_port_and_a_virtual_radio(mode: str) -> None:
    text = GOOD.replace('time_zone = "Asia/Shanghai"', f'time_zone = "Asia/Shanghai"\nmode = "{mode}"')
    text = text.replace("/dev/serial/by-id/usb-FTDI_1", "/dev/pts/7")
    text = text.replace('adapter = "hci0"', 'backend = "virtual"\nhci = "tcp-client:127.0.0.1:5555"')
    config = parse(text + "[clock]\nspeed = 40\norigin_real_ns = 1\norigin_utc_ns = 2\n")
    assert config.clock is not None
    assert config.clock.speed == 40.0
    assert config.ble[0].hci == "tcp-client:127.0.0.1:5555"


def test_a_misspelt_mode_is_not_treated_as_a_demonstration() -> None:
    text = GOOD.replace('time_zone = "Asia/Shanghai"', 'time_zone = "Asia/Shanghai"\nmode = "demonstration"')
    keys = [fault.key for fault in faults_of(text.replace("/dev/serial/by-id/usb-FTDI_1", "/dev/pts/7"))]
    assert keys == ["site.mode", "serial[1].path"]


@pytest.mark.parametrize("host", ["mqtt.example.org", "192.168.1.9", "localhost.example.org"])
def test_plaintext_is_refused_when_the_broker_is_elsewhere(host: str) -> None:
    text = GOOD.replace("mqtt.example.org", host).replace('ca_file = "/etc/carebed/ca.pem"', "plaintext = true")
    assert only_fault(text).key == "upstream[1].plaintext"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_plaintext_is_accepted_on_loopback(host: str) -> None:
    text = GOOD.replace("mqtt.example.org", host).replace('ca_file = "/etc/carebed/ca.pem"', "plaintext = true")
    assert parse(text).upstream[0].plaintext


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::", "carebed.local"])
def test_the_page_without_a_login_stays_on_loopback_in_mode_real(host: str) -> None:
    assert only_fault(GOOD + f'[page]\nhost = "{host}"\n').key == "page.host"


def test_half_a_client_certificate_is_refused() -> None:
    fault = only_fault(GOOD + 'cert_file = "/etc/carebed/box.pem"\n')
    assert (fault.key, fault.hint) == ("upstream[1].cert_file", "give key_file as well")


def test_a_bundle_that_nobody_can_verify_is_refused() -> None:
    assert only_fault(GOOD + '[rules]\nbundle = "/etc/carebed/rules"\n').key == "rules.bundle"


def test_a_name_shared_by_a_port_and_a_radio_is_refused() -> None:
    assert only_fault(GOOD.replace('name = "onboard"', 'name = "belt-1"')).key == "ble[1].name"


@pytest.mark.parametrize(("backend", "missing"), [("bluez", "adapter"), ("virtual", "hci")])
def test_a_radio_without_what_its_backend_needs_is_refused(backend: str, missing: str) -> None:
    text = GOOD.replace('time_zone = "Asia/Shanghai"', 'time_zone = "Asia/Shanghai"\nmode = "demo"')
    fault = only_fault(text.replace('adapter = "hci0"', f'backend = "{backend}"'))
    assert (fault.key, fault.message) == (f"ble[1].{missing}", "is missing")


def test_a_number_in_quotes_is_refused_and_not_silently_converted() -> None:
    assert "found '9600'" in only_fault(GOOD.replace("[[ble]]", 'baud = "9600"\n[[ble]]')).message


def test_an_unknown_time_zone_is_refused_with_the_nearest_known_one() -> None:
    assert "Asia/Shanghai" in only_fault(GOOD.replace("Asia/Shanghai", "Asia/Shangai")).message


def test_several_lines_that_do_not_parse_are_all_reported() -> None:
    faults = faults_of(GOOD + '[page]\nport 8080\nhost = "127.0.0.1\n[paths]\nstate_dir = /var\n')
    first = GOOD.count("\n") + 2
    assert [fault.line for fault in faults] == [first, first + 1, first + 3]


def test_a_key_that_stands_twice_is_reported_at_its_second_line() -> None:
    text = GOOD.replace('site = "s-7Q4MZ2K9"', 'site = "s-7Q4MZ2K9"\nsite = "s-2"')
    assert (only_fault(text).line, only_fault(text).key) == (5, "site.site")


def test_a_broken_section_heading_brings_no_false_faults_about_what_follows_it() -> None:
    assert [fault.line for fault in faults_of(GOOD.replace("[site]", "[site"))] == [2]


def test_values_over_several_lines_do_not_shift_the_lines_of_later_faults() -> None:
    text = '[site]\nx = [\n  "a = 1", # ]\n  "b",\n]\ny = """\n[page]\n"""\n' + GOOD.replace("[site]\n", "")
    assert [(fault.line, fault.key) for fault in faults_of(text)] == [(2, "site.x"), (6, "site.y")]


def test_a_file_that_is_not_there_is_a_config_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.toml")


def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "carebed.toml"
    file.write_bytes("# ok\n# 床\n".encode("gb18030"))
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert caught.value.faults[0].line == 2


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "carebed.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(file) == parse(GOOD)


def outcome(text: str) -> tuple[Fault, ...]:
    """The faults, none for a good file; any other exception is a failure of the test."""
    try:
        parse(text)
    except ConfigError as error:
        return error.faults
    return ()


@given(st.text(max_size=300))
def test_any_text_is_either_a_config_or_a_config_error(text: str) -> None:
    assert all(0 <= fault.line <= text.count("\n") + 1 and fault.hint for fault in outcome(text))


@given(st.data())
def test_any_one_damaged_line_of_a_good_file_still_gives_only_honest_lines(data: st.DataObject) -> None:
    lines = GOOD.split("\n")
    index = data.draw(st.integers(0, len(lines) - 1))
    lines[index] = data.draw(st.text(st.characters(codec="ascii", exclude_characters="\n\r"), max_size=40))
    assert all(0 <= fault.line <= len(lines) for fault in outcome("\n".join(lines)))


def test_every_key_is_documented_with_its_default() -> None:
    readme = Path(__file__).parents[2].joinpath("gateway", "README.md").read_text()
    rows = [f"| `{key}` | {default} | {description} |" for key, default, description in documented_keys()]
    assert [row for row in rows if row not in readme] == []


def test_no_key_is_without_a_description() -> None:
    sections: list[type] = [Config, *SECTIONS.values()]
    fields = [field for section in sections for field in section.model_fields.values()]  # type: ignore[attr-defined]
    assert all(field.description for field in fields)


def test_loopback_is_an_address_and_never_a_name_that_looks_like_one() -> None:
    assert is_loopback("127.0.0.1")
    assert not is_loopback("127.0.0.1.example.org")


def test_a_broken_file_still_says_where_its_fault_page_is(tmp_path: Path) -> None:
    file = tmp_path / "carebed.toml"
    file.write_text(TWELVE.replace('port = "8080"', "port = 8123\nhots = 1") + '[paths]\nruntime_dir = "/run/ward"\n')
    assert salvage(file) == (8123, Path("/run/ward"))


@pytest.mark.parametrize(
    "text", ["", "[page]\nport = -1\n[paths]\nruntime_dir = 7\n", "page = 1\npaths = []\n", "\x00"]
)
def test_what_a_broken_file_does_not_say_is_as_usual(tmp_path: Path, text: str) -> None:
    file = tmp_path / "carebed.toml"
    file.write_text(text)
    assert salvage(file) == (8080, Path("/run/carebed"))
    assert salvage(tmp_path / "none.toml") == (8080, Path("/run/carebed"))


def test_a_file_may_name_every_serial_format_that_the_port_speaks_and_no_other() -> None:
    def accepted(text: str) -> bool:
        try:
            Serial(name="bus", path=Path("/dev/null"), format=text)
        except ValidationError:
            return False
        return True

    every = [data + parity + stop for data in "78" for parity in "NEO" for stop in ("1", "2", "1.5")]
    assert {text for text in every if accepted(text)} == set(get_args(Format))


@pytest.mark.parametrize("host", ["mqtt.example.org:8883", "mqtts://mqtt.example.org", "::1:x", "a b", "a@b", ""])
def test_a_host_with_port_scheme_or_path_is_refused(host: str) -> None:
    faults = faults_of(GOOD + f'[page]\nhost = "{host}"\n')
    assert any("is no host name or address" in fault.message for fault in faults)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]"])
def test_a_host_name_and_addresses_of_both_kinds_are_accepted(host: str) -> None:
    assert parse(GOOD + f'[page]\nhost = "{host}"\n').page.host == host


@pytest.mark.parametrize(("host", "hint"), [("mqtt.example.org", "authority"), ("127.0.0.1", "plaintext = true")])
def test_an_upstream_that_could_never_connect_for_want_of_an_authority_is_a_fault(host: str, hint: str) -> None:
    fault = only_fault(GOOD.replace("mqtt.example.org", host).replace('ca_file = "/etc/carebed/ca.pem"\n', ""))
    assert fault.key == "upstream[1].ca_file"
    assert fault.line == GOOD[: GOOD.index("[[upstream]]")].count("\n") + 1
    assert hint in fault.hint
