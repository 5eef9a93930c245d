"""`carebed scan` and `carebed pair`: what they print and what they exit with, against a real socket."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.base import Device
from drivers.ble_radio import Advert
from drivers.profile_ble import full_uuid
from gateway import cli
from gateway.air import air_of
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
