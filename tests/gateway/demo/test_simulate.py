"""Every virtual device is heard by the driver that the daemon runs, through what the command offers."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from drivers.base import Device
from drivers.ble_link import BleAdapter, backend_virtual
from drivers.catalogue import FAMILIES, SERIAL
from drivers.serial_link import SerialPort
from gateway.cli import main as carebed
from gateway.config import parse as parse_config
from gateway.core.clock import SystemClock
from gateway.core.errors import LinkError
from gateway.demo.scenes_radio import RADIO
from gateway.demo.scenes_wired import WIRED
from gateway.demo.simulate import ADDRESS, Model, chosen, line_of, models, on_air, settings_of, wired
from tests.drivers.ble_ward import RecordingSink, running

WIRED_MODELS = [model for model in models().values() if model.wired]
RADIO_MODELS = [  # the first and the last of each family: most families do the same for all of theirs
    model
    for model in models().values()
    if not model.wired
    and (model.family == "bthome" or model.id in (FAMILIES[model.family].models[0], FAMILIES[model.family].models[-1]))
]


SITE = '[site]\ngateway = "gw-1"\nsite = "s-1"\ntime_zone = "Asia/Shanghai"\nmode = "test"\n'
ONE_OF_EACH = {FAMILIES[family].models[0] for family in WIRED}


def name_of(model: Model) -> str:
    return model.id


def said_something(sink: RecordingSink) -> bool:
    return bool(sink.blocks or sink.measurements or [e for e in sink.events if e.kind not in ("link_up", "bus_echo")])


def device_of(model: Model, address: str) -> Device:
    return Device("trial-1", model.family, model.id, "trial", "b-1", address, settings_of(model))


@pytest.mark.parametrize("model", WIRED_MODELS, ids=name_of)
async def test_a_device_on_a_wire_is_heard_by_its_driver(model: Model, tmp_path: Path) -> None:
    clock, sink, port = SystemClock(), RecordingSink(), tmp_path / "port"
    told: list[str] = []
    async with wired(model, str(port), clock, told.append):
        baud, format = line_of(model)
        link = SerialPort(str(port), clock, baud=baud, format=format)
        driver = FAMILIES[model.family].make([device_of(model, "")], link, clock)
        async with running(driver.run(sink)):
            await sink.until(lambda: said_something(sink))
    assert not port.is_symlink()
    assert f'model = "{model.id}"' in "\n".join(told)


@pytest.mark.parametrize("model", RADIO_MODELS, ids=name_of)
async def test_a_device_on_the_air_is_heard_by_its_driver(model: Model) -> None:
    clock, sink = SystemClock(), RecordingSink()
    told: list[str] = []
    async with on_air(model, None, clock, told.append):
        port = int(told[0].rsplit(" ", 1)[1])
        adapter = BleAdapter("trial", clock, backend_virtual(f"tcp-client:127.0.0.1:{port}"))
        driver = FAMILIES[model.family].make([device_of(model, ADDRESS)], adapter, clock)
        async with running(adapter.run(), driver.run(sink)):
            await sink.until(lambda: said_something(sink))
    assert f'hci = "tcp-client:127.0.0.1:{port}"' in "\n".join(told)


def test_every_family_can_be_simulated() -> None:
    scenes = {*WIRED, *RADIO}
    assert {family.name for family in FAMILIES.values()} - scenes == set()
    assert not {name for name in WIRED if name in FAMILIES and FAMILIES[name].transport not in SERIAL}


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("R60ABD1", "did you mean r60abd1;"),
        ("r60abd2", "r60abd1 or "),
        ("berry", "berrymed_bci or "),
        ("suntech", "did you mean suntech_advantage;"),
        ("modbus", "xy_md02"),
        ("SEN0623", "did you mean r60abd1;"),
        ("toaster", "no product's box; `carebed simulate` lists them all"),
        ("", "no product's box"),
    ],
)
def test_an_unknown_model_is_answered_with_what_was_probably_meant(typed: str, offered: str) -> None:
    with pytest.raises(LinkError) as caught:
        chosen(typed)
    assert offered in caught.value.hint


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("/dev/ttyUSB-that-is-not-there", "there is no port"),
        ("/dev/null", "cannot open /dev/null"),
        ("/no/such/directory/port", "cannot name a virtual port"),
    ],
)
async def test_a_port_that_is_none_is_told_and_no_name_is_made_for_it(port: str, said: str) -> None:
    with pytest.raises(LinkError, match=said):
        async with wired(chosen("xy_md02"), port, SystemClock(), print):
            raise AssertionError("it must not start")
    assert not os.path.islink(port)


async def test_the_name_of_a_running_simulation_is_no_port(tmp_path: Path) -> None:
    port, clock = tmp_path / "room", SystemClock()
    async with wired(chosen("xy_md02"), str(port), clock, print):
        with pytest.raises(LinkError, match="another simulation"):
            async with wired(chosen("xy_md02"), str(port), clock, print):
                raise AssertionError("it must not start")
        assert port.is_symlink()


async def test_what_is_to_be_copied_into_the_configuration_is_taken_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    async with wired(chosen("r60abd1"), "./radar", SystemClock(), told.append):
        section = told[1].split("in the ward file:")[0].split("\n", 2)[2]
        config = parse_config(SITE + section, "trial.toml")
    assert str(config.serial[0].path) == str(tmp_path / "radar")


@pytest.mark.parametrize("arguments", [["--faults", "101"], ["--faults", "nan"], ["--faults", "x"], ["--port"]])
def test_a_wrong_option_is_told_in_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        carebed(["simulate", "r60abd1", *arguments])
    assert capsys.readouterr().err.startswith("carebed simulate: argument ")


@pytest.mark.parametrize("arguments", [["--port", "65536"], ["--port", "./x"], ["--faults", "5"]])
def test_a_device_on_the_air_takes_no_wire_and_no_faults(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert carebed(["simulate", "hrs_generic", *arguments]) == 1
    assert capsys.readouterr().err.startswith("carebed: hrs_generic is no device on a wire\n")


@pytest.mark.parametrize("model", [model for model in WIRED_MODELS if model.id in ONE_OF_EACH], ids=name_of)
async def test_a_pulled_plug_ends_a_simulation_with_words(model: Model) -> None:
    ours, adapter = os.openpty()

    async def pull() -> None:
        async with wired(model, os.ttyname(adapter), SystemClock(), print) as living:
            os.close(ours)
            async with asyncio.timeout(10):
                await asyncio.wait([living])

    with pytest.raises(LinkError, match="the port broke"):
        await pull()
    os.close(adapter)


async def test_a_path_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    taken = tmp_path / "notes.txt"
    taken.write_text("mine")
    with pytest.raises(LinkError, match="cannot name a virtual port"):
        async with wired(chosen("xy_md02"), str(taken), SystemClock(), print):
            raise AssertionError("it must not start")
    assert taken.read_text() == "mine"
    with pytest.raises(LinkError, match="no device on a wire"):
        async with on_air(chosen("hrs_generic"), str(tmp_path), SystemClock(), print):
            raise AssertionError("it must not start")


async def test_a_real_port_is_spoken_on_from_its_other_end() -> None:
    """A second pseudo-terminal stands for the adapter that is plugged in for the training."""
    ours, adapter = os.openpty()
    os.set_blocking(ours, False)
    clock, got = SystemClock(), b""
    async with wired(chosen("open_belt_1"), os.ttyname(adapter), clock, print):
        async with asyncio.timeout(10):
            while b"\xb5\x42" not in got:
                await asyncio.sleep(0.02)
                try:
                    got += os.read(ours, 4096)
                except BlockingIOError:
                    continue
    os.close(ours)
    os.close(adapter)


def test_without_a_model_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert carebed(["simulate"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(models())
    assert any(line.split() == ["xy_md02", "modbus_rtu", "modbus-rtu"] for line in lines)


async def test_the_command_tells_where_it_speaks_and_tidies_up_at_the_end(tmp_path: Path) -> None:
    port = tmp_path / "room"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "simulate", "xy_md02", "--port", str(port), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        first = (await process.stdout.readline()).decode()
        assert str(port) in first
        assert port.is_symlink()
        while "Ctrl-C" not in (await process.stdout.readline()).decode():
            continue
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert not port.is_symlink()
