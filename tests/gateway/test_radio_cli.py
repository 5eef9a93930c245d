"""`carebed scan` and `carebed pair`: what they print and what they exit with, against a real socket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.base import Device
from drivers.ble_radio import Advert
from drivers.profile_ble import full_uuid
from gateway import cli
from gateway.air import air_of
from gateway.pair_state import PairState, Step
from gateway.web.app import fault_app
from tests.drivers.ble_ward import SilentRadio, adapter_with
from tests.gateway.house import House
from tests.gateway.test_cli import Background
from tests.gateway.test_cli import config as config  # the fixture
from tests.gateway.web.conftest import page_of
from tests.gateway.web.test_fault_page import broken

CUFF, SCALE = full_uuid("1810"), full_uuid("181D")
DEVICES = (Device("cuff-1", "bls", "and_ua651ble", "radio", "b-1", "F1:00:00:00:00:01"),)


class Street:
    """A house with one radio that has heard who is put there."""

    def __init__(self, *, scanning: bool = True) -> None:
        self.house = House()
        self.radio = adapter_with(SilentRadio(), self.house.clock)
        self.radio.name = "radio"
        self.radio.sightings.register(device.address for device in DEVICES)
        if scanning:
            self.radio._radio = SilentRadio()
        self.house.model.watch_air(lambda: air_of({"radio": self.radio}, DEVICES, self.house.clock))

    def hears(self, address: str, name: str | None, *services: str, kind: str = "random") -> None:
        advert = Advert(address, -61, name, services, {}, {}, self.house.clock.now())
        self.radio.sightings.hear(advert, {"props": {"AddressType": kind}})


@pytest.fixture
def street() -> Street:
    street = Street()
    street.hears("F1:00:00:00:00:01", "A&D_UC-352BLE_1", SCALE)
    street.hears("F1:00:00:00:00:02", "Contour7800H1", full_uuid("1808"))
    street.hears("F1:00:00:00:00:03", None, CUFF)
    street.hears("4A:00:00:00:00:04", "Jane's\x1b[31m phone")
    return street


@pytest.fixture
def running(config: Path, street: Street, tmp_path: Path) -> Iterator[None]:
    with Background(page_of(street.house), tmp_path / "runtime" / "page.sock"):
        yield


def scan(config: Path, *more: str) -> int:
    return cli.main(["scan", "--config", str(config), "--lang", "en", *more])


def line_of(text: str, word: str) -> str:
    (line,) = [line for line in text.splitlines() if word in line]
    return line


@pytest.mark.usefixtures("running")
def test_a_scan_tells_who_is_there_what_it_is_and_whether_it_is_registered(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scan(config) == 0
    text = capsys.readouterr().out
    assert "radio radio: scanning" in text
    assert "contour_next_one" in line_of(text, "F1:00:00:00:00:02")
    assert "-61" in line_of(text, "F1:00:00:00:00:02")
    assert line_of(text, "F1:00:00:00:00:01").endswith("cuff-1 (seems to be and_uc352ble: correct its entry)")
    assert "one of bls_generic, and_ua651ble?" in line_of(text, "F1:00:00:00:00:03")


@pytest.mark.usefixtures("running")
def test_an_address_that_changes_is_marked_and_a_name_cannot_command_the_terminal(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan(config)
    text = capsys.readouterr().out
    assert "4A:00:00:00:00:04 *" in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("running")
def test_only_new_devices_are_listed_where_that_is_asked_for(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan(config, "--new") == 0
    text = capsys.readouterr().out
    assert "cuff-1" not in text
    assert "F1:00:00:00:00:02" in text


@pytest.mark.usefixtures("running")
def test_a_scan_as_json_is_one_document(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan(config, "--json") == 0
    air = json.loads(capsys.readouterr().out)
    found = {device["address"]: device for device in air["devices"]}
    assert (air["radios"][0]["name"], len(found)) == ("radio", 4)
    assert (found["F1:00:00:00:00:01"]["device"], found["F1:00:00:00:00:01"]["contradicts"]) == (
        "cuff-1",
        "and_uc352ble",
    )
    assert found["4A:00:00:00:00:04"]["identity"] == ""


def test_without_a_daemon_a_scan_says_what_to_start_and_exits_69(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert scan(config) == 69
    assert "carebed run --config FILE" in capsys.readouterr().err


def test_without_a_radio_in_the_configuration_a_scan_says_what_to_add(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Background(page_of(House()), tmp_path / "runtime" / "page.sock"):
        assert scan(config) == 69
    error = capsys.readouterr().err
    assert "names no Bluetooth radio" in error
    assert "[[ble]]" in error


def test_without_an_adapter_a_scan_says_where_to_look(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Background(page_of(Street(scanning=False).house), tmp_path / "runtime" / "page.sock"):
        assert scan(config) == 69
    printed = capsys.readouterr()
    assert "not open" in printed.out
    assert "systemctl status bluetooth" in printed.err


def test_while_the_configuration_is_broken_a_scan_lists_its_faults_and_exits_78(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Background(fault_app(broken()), tmp_path / "runtime" / "page.sock"):
        assert scan(config) == 78
    assert "site.timezone" in capsys.readouterr().out


class Bench:
    """A pairing that goes as the script says: each look at it is one step on, until it asks for something."""

    def __init__(self, *script: PairState) -> None:
        self.script = list(script)
        self.orders: list[tuple[str, str, str, float]] = []
        self.answers: list[tuple[int | None, bool | None]] = []
        self.house = House()
        self.house.commands = replace(self.house.commands, pairing=self)
        self.house.model.watch_pairing(self.state)

    async def start(self, device_id: str, by: str, via: str, window_s: float) -> str:
        self.orders.append((device_id, by, via, window_s))
        return "" if device_id == "cuff-1" else "device_unknown"

    def answer(self, passkey: int | None, *, agrees: bool | None) -> str:
        if passkey is not None and not 0 <= passkey <= 999_999:
            self.script = self.script[-1:]
            return "passkey_invalid"
        self.answers.append((passkey, agrees))
        self.script.pop(0)
        return ""

    def state(self) -> PairState:
        asks = self.script[0].step in (Step.PASSKEY, Step.CONFIRM)
        return self.script[0] if asks or len(self.script) == 1 else self.script.pop(0)


@contextmanager
def pairing(tmp_path: Path, *script: PairState) -> Iterator[Bench]:
    bench = Bench(*script)
    with Background(page_of(bench.house), tmp_path / "runtime" / "page.sock"):
        yield bench


WAITING = PairState("cuff-1", Step.WAITING, left_s=58.0)
PASSKEY = PairState("cuff-1", Step.PASSKEY, left_s=50.0)
CONFIRM = PairState("cuff-1", Step.CONFIRM, "000042", left_s=50.0)
SHOW = PairState("cuff-1", Step.SHOW, "123456", left_s=50.0)
BONDED = PairState("cuff-1", Step.BONDED)
FAILED = PairState("cuff-1", Step.FAILED, reason="no answer", hint="switch it on")


def pair(config: Path, *more: str, device: str = "cuff-1") -> int:
    return cli.main(["pair", device, "--config", str(config), "--lang", "en", "--by", "N-12", *more])


def test_a_pairing_is_followed_to_the_bond(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pairing(tmp_path, WAITING, WAITING, SHOW, BONDED) as bench:
        assert pair(config, "--window", "60") == 0
    text = capsys.readouterr().out
    assert bench.orders == [("cuff-1", "N-12", "api", 60.0)]
    assert "Type these digits into cuff-1: 123456" in text
    assert text.endswith("cuff-1 is paired.\n")


def test_the_passkey_is_asked_at_the_terminal_until_it_has_six_digits(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(("12", "abcdef", "004 711"))
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    with pairing(tmp_path, WAITING, PASSKEY, BONDED) as bench:
        assert pair(config) == 0
    assert bench.answers == [(4711, None)]


def test_a_script_gives_the_passkey_with_the_command(config: Path, tmp_path: Path) -> None:
    with pairing(tmp_path, PASSKEY, BONDED) as bench:
        assert pair(config, "--passkey", "004711") == 0
    assert bench.answers == [(4711, None)]


@pytest.mark.parametrize(("typed", "agrees"), [("y", True), ("no", False), ("", False)])
def test_the_digits_are_compared_at_the_terminal(
    typed: str, agrees: bool, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(text: str) -> str:
        asked.append(text)
        return typed

    monkeypatch.setattr("builtins.input", answer)
    with pairing(tmp_path, CONFIRM, BONDED) as bench:
        assert pair(config) == 0
    assert "000042" in asked[0]
    assert bench.answers == [(None, agrees)]


def test_a_failed_pairing_says_why_and_what_to_do_and_exits_1(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pairing(tmp_path, WAITING, FAILED):
        assert pair(config) == 1
    assert capsys.readouterr().err == "cuff-1 could not be paired: no answer\nswitch it on\n"


def test_without_a_terminal_no_passkey_is_given(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    with pairing(tmp_path, PASSKEY, FAILED) as bench:
        assert pair(config) == 1
    assert bench.answers == []
    assert "A passkey has six digits." in capsys.readouterr().err


def test_an_unknown_device_is_refused_with_where_to_look_and_exits_69(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pairing(tmp_path, BONDED):
        assert pair(config, device="cuff-9") == 69
    error = capsys.readouterr().err
    assert "There is no registered device cuff-9" in error
    assert "carebed scan" in error


def test_a_gateway_that_restarts_meanwhile_is_told(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pairing(tmp_path, PairState()):
        assert pair(config) == 69
    assert "start again: carebed pair cuff-1" in capsys.readouterr().err


def test_without_a_daemon_nothing_is_paired(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pair(config) == 69
    assert "carebed run --config FILE" in capsys.readouterr().err
