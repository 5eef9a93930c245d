"""Models whose layout is code: every part out of place told at once, wrong vectors refused, blindness made known."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.base import Device
from drivers.capability import DRIVERS, can_be_missed, profile_of, sights
from drivers.catalogue import FAMILIES, WHERE
from drivers.coded_model import Key, code_for, line_of, profile_for
from drivers.profile import models_in, models_over, parse
from drivers.profile_decoders import decode, decoders, families
from drivers.profile_schema import Codec
from drivers.profile_tools import check
from drivers.vectors import collect
from gateway import cli
from gateway.core.errors import ConfigError, ProtocolError

BLE = """\
schema = 1
[device]
id = "my_model"
class = "pulse_oximeter"
transport = "ble-gatt"
match = { services = ["1822"] }
[codec]
family = "berry_bci"
kinds = ["bci5"]
greeting = ["E0"]
write = "FF01"
[[tests]]
hex = "c53a074861"
expect = { pulse_bpm = 72, spo2_percent = 97 }
"""
SERIAL = """\
schema = 1
[device]
id = "my_model"
class = "pulse_oximeter"
transport = "serial"
serial = { baud = 19200, format = "8O1" }
[codec]
family = "berry_bci"
kinds = ["bci5"]
greeting = ["E0"]
[[tests]]
hex = "c53a074861"
expect = { pulse_bpm = 72, spo2_percent = 97 }
"""


@dataclass(frozen=True)
class Mistake:
    """A change to the text and the key at which it must be told. part: what two mistakes may not both touch."""

    key: str
    old: str
    new: str
    part: str = ""
    of: Sequence[str] = field(default=(BLE, SERIAL))

    def __repr__(self) -> str:
        return self.key

    @property
    def touches(self) -> str:
        return self.part or self.key


END = 'expect = { pulse_bpm = 72, spo2_percent = 97 }\n'
FRAMER = '[framer]\nhead = "53"\nlength = { at = 1 }\ndata_at = 2\nmax_data = 9\nchecksum = { kind = "sum8" }\n'
SOURCE = '[[source]]\ncharacteristic = "2A37"\nfield = [{ name = "a", type = "u8" }]\n'
POLL = '[[poll]]\nfunction = 4\naddress = 0\nevery_ms = 500\nfield = [{ name = "b", register = 0 }]\n'
MISTAKES = (
    Mistake("framer", END, END + FRAMER),
    Mistake("line", END, END + '[line]\ncolumns = 1\nfield = [{ name = "a", column = 0 }]\n'),
    Mistake("source", END, END + SOURCE),
    Mistake("dedupe", END, END + '[dedupe]\nkey = ["a"]\n'),
    Mistake("poll", END, END + POLL),
    Mistake("modbus", END, END + "[modbus]\nunit = 3\n"),
    Mistake("publish_if", "schema = 1\n", 'schema = 1\npublish_if = "a & 1"\n'),
    Mistake("codec.family", '"berry_bci"', '"cherry_bci"', "decoder"),
    Mistake("codec.kinds", '["bci5"]', '["bci6", "bci5"]', "decoder"),
    Mistake("codec.shape", "[codec]\n", '[codec]\nshape = "round"\n'),
    Mistake("tests.0.kind", END, END + 'kind = "berry20"\n', "decoder"),
    Mistake("tests.0.poll", END, END + "poll = 1\n"),
    Mistake("tests.0.source_at", END, END + "source_at = 1\n"),
    Mistake("device.match", 'match = { services = ["1822"] }\n', "", of=(BLE,)),
    Mistake("device.bond", 'class = "pulse', 'bond = "maybe"\nclass = "pulse', of=(BLE,)),
    Mistake("device.serial", 'class = "pulse', 'serial = { baud = 9600 }\nclass = "pulse', of=(BLE,)),
    Mistake("codec.greeting", 'write = "FF01"\n', "", of=(BLE,)),
    Mistake("device.serial", 'serial = { baud = 19200, format = "8O1" }\n', "", of=(SERIAL,)),
    Mistake("device.match", 'class = "pulse', 'match = { services = ["1822"] }\nclass = "pulse', of=(SERIAL,)),
    Mistake("codec.notify", "[codec]\n", '[codec]\nnotify = "FF02"\n', of=(SERIAL,)),
    Mistake("codec.greeting_every_s", "[codec]\n", "[codec]\ngreeting_every_s = 20\n", of=(SERIAL,)),
    Mistake("codec.write", "[codec]\n", '[codec]\nwrite = "FF01"\n', of=(SERIAL,)),
)


def faults_of(directory: Path, text: str) -> dict[str, tuple[int, str]]:
    path = directory / "my_model.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        check(path)
    faults = {fault.key: (fault.line, fault.message) for fault in caught.value.faults}
    assert len(faults) == len(caught.value.faults), "a fault was told twice"
    return faults


def wrong(text: str, mistakes: Sequence[Mistake]) -> str:
    for mistake in sorted(mistakes, key=lambda one: not one.new.startswith(END + "[")):  # so a test's keys stay its own
        assert mistake.old in text
        text = text.replace(mistake.old, mistake.new, 1)
    return text


@pytest.mark.parametrize("text", [BLE, SERIAL], ids=["ble-gatt", "serial"])
def test_a_model_without_mistakes_is_good(tmp_path: Path, text: str) -> None:
    path = tmp_path / "my_model.toml"
    path.write_text(text, encoding="utf-8")
    assert check(path).codec == parse(path)[0].codec


@pytest.mark.parametrize("text", [BLE, SERIAL], ids=["ble-gatt", "serial"])
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_set_of_mistakes_is_told_whole_each_once_and_nothing_else(
    tmp_path: Path, text: str, data: st.DataObject
) -> None:
    fitting = [one for one in MISTAKES if text in one.of]
    made = data.draw(st.lists(st.sampled_from(fitting), min_size=1, unique_by=lambda one: one.touches))
    assert set(faults_of(tmp_path, wrong(text, made))) == {mistake.key for mistake in made}


@pytest.mark.parametrize("mistake", MISTAKES, ids=repr)
def test_a_mistake_is_told_on_its_line(tmp_path: Path, mistake: Mistake) -> None:
    text = wrong(mistake.of[0], [mistake])
    ((line, _),) = faults_of(tmp_path, text).values()
    if mistake.new:  # of what is missing there is no line but its section's
        name = mistake.key.rpartition(".")[2]
        assert name in text.splitlines()[line - 1]
    else:
        assert text.splitlines()[line - 1] in ("[device]", "[codec]", 'greeting = ["E0"]')


def test_a_modbus_map_takes_no_code_and_a_layout_in_data_takes_no_kind(tmp_path: Path) -> None:
    text = SERIAL.replace('"serial"', '"modbus-rtu"')
    assert set(faults_of(tmp_path, text)) == {"codec"}
    layout = BLE[: BLE.index("[codec]")] + SOURCE + '[[tests]]\nhex = "07"\nkind = "bci5"\nexpect = { a = 7 }\n'
    assert set(faults_of(tmp_path, layout)) == {"tests.0.kind"}


def test_a_vector_that_the_code_reads_otherwise_is_shown_in_hex_and_in_values(tmp_path: Path) -> None:
    told = faults_of(tmp_path, BLE.replace("spo2_percent = 97", "spo2_percent = 98"))
    assert told == {"tests.0": (12, "c53a074861: spo2_percent decodes to 97, promised 98")}
    told = faults_of(tmp_path, BLE.replace("expect = { pulse_bpm = 72, spo2_percent = 97 }", 'reject = "sync"'))
    assert told["tests.0"][1].startswith("c53a074861: accepted as {'signal_strength': 5")


def test_an_encrypted_vector_is_decoded_with_the_key_of_its_context(tmp_path: Path) -> None:
    text = """\
schema = 1
[device]
id = "my_model"
class = "motion_sensor"
transport = "ble-adv"
match = { service_data = "FCD2" }
[codec]
family = "bthome"
kinds = ["service_data_FCD2"]
[[tests]]
hex = "4187b90011223372b0231f"
context = { bindkey = "231d39c1d7cc1ab1aee224cd096db932", mac = "54:48:E6:8F:80:A5" }
expect = { encrypted = true, objects = [{ motion = true }] }
"""
    path = tmp_path / "my_model.toml"
    path.write_text(text, encoding="utf-8")
    assert check(path).device.id == "my_model"
    told = faults_of(tmp_path, text.replace("motion = true", "motion = false"))
    assert "objects decodes to [{'motion': True}]" in told["tests.0"][1]
    assert "wrong_key_or_forged" in faults_of(tmp_path, text.replace("32\", mac", "33\", mac"))["tests.0"][1]


def test_profiles_and_vector_files_go_through_the_same_decoders() -> None:
    assert {"berry_bci", "nonin", "suntech", "hrs", "polar_pmd", "bthome"} <= set(families())
    for family in families():
        for kind, decoder in decoders(family).items():
            assert collect()[kind] is decoder, f"{family}: {kind}"
    assert decoders("no_such_family") == {}
    with pytest.raises(ProtocolError, match="kind: berry_bci decodes no 'x'"):
        decode(Codec(family="berry_bci", kinds=("x",)), "x", b"", {})


@pytest.mark.parametrize("family", [*FAMILIES])
def test_every_model_that_a_family_names_has_a_file_and_every_file_is_a_model(family: str) -> None:
    folder = DRIVERS / WHERE[family].split(".")[1]
    assert tuple(models_over(folder, FAMILIES[family].transport)) == tuple(sorted(FAMILIES[family].models))


PROFILED = [(family, model) for family in FAMILIES for model in FAMILIES[family].models]


@pytest.mark.parametrize(("family", "model"), PROFILED)
def test_what_a_file_declares_of_a_model_reaches_the_inventory(family: str, model: str) -> None:
    profile = profile_of(family, model)
    assert profile is not None
    seen = {sight.quantity: sight for sight in sights(Device("d-1", family, model, "link", "b-1"))}
    for quantity, declared in profile.device.capability.items():
        told = seen[quantity]
        assert (told.range, told.latency_s, told.blind) == (declared.range, declared.latency_s, declared.blind)


CODED = [(family, model) for family, model in PROFILED if (one := profile_of(family, model)) and one.codec]


@pytest.mark.parametrize(("family", "model"), CODED)
def test_a_model_in_code_says_whose_product_it_is_or_that_it_is_a_format_and_where_its_facts_come_from(
    family: str, model: str
) -> None:
    profile = profile_of(family, model)
    assert profile is not None
    assert profile.device.sources
    assert all(vector.source for vector in profile.tests)
    assert any(vector.expect for vector in profile.tests)


@pytest.mark.parametrize(("family", "model"), CODED)
def test_a_shipped_model_decodes_its_first_vector_by_the_command(
    family: str, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = profile_of(family, model)
    assert profile is not None
    vector = next(one for one in profile.tests if one.expect)
    options = ["--kind", vector.kind] if vector.kind else []
    options += [part for name, value in vector.context.items() for part in ("--context", f"{name}={value}")]
    assert cli.main(["profile", "decode", model, "--hex", vector.hex, *options]) == 0
    assert next(iter(vector.expect)) in capsys.readouterr().out
    assert cli.main(["profile", "decode", model, "--hex", vector.hex, "--kind", "nothing"]) == 78


def test_an_oximeter_that_is_switched_on_for_a_measurement_is_not_missed_and_one_that_streams_is() -> None:
    assert not can_be_missed(Device("x", "nonin", "nonin_onyx_ii_9560", "p"))
    assert can_be_missed(Device("x", "nonin", "nonin_xpod_3012", "p"))
    assert can_be_missed(Device("x", "polar_pmd", "verity_sense", "radio"))


def test_a_driver_is_told_what_its_file_lacks(tmp_path: Path) -> None:
    models = models_in(DRIVERS / "berry_bci")
    profile = profile_for(Device("x", "berry_bci", "contec_cms50d_plus", "p"), models)
    assert line_of(profile) == "19200 baud 8O1"
    table: dict[Key, str] = {("bci5", "berry"): "berry", ("bci5", "contec"): "contec"}
    assert code_for(profile, table)[1] == "contec"
    with pytest.raises(ConfigError, match="no code for bci5 as contec means it; known: berry20"):
        code_for(profile, {("berry20", None): "berry"})
    with pytest.raises(ConfigError, match="unknown model 'x'; known: berrymed_bci"):
        profile_for(Device("x", "berry_bci", "x", "p"), models)


def test_an_installed_package_carries_every_profile() -> None:
    project = tomllib.loads((DRIVERS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert "*.toml" in project["tool"]["setuptools"]["package-data"]["*"]
    for path in DRIVERS.glob("*/*.toml"):
        assert (path.parent / "__init__.py").is_file(), f"{path.parent.name} is no package: its files stay behind"
