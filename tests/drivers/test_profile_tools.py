"""The profile commands: every fault with its line, a wrong vector in hex and values, the table in the README."""

import json
from pathlib import Path

import pytest

from drivers.bls.frame import PROFILE as BLS
from drivers.profile_tools import DRIVERS, MARKS, check, entries, table
from gateway import cli
from gateway.core.errors import ConfigError

README = Path(__file__).parents[2] / "README.md"
SHIPPED = sorted(DRIVERS.glob("*/*.toml"))
CUFF = BLS.read_text(encoding="utf-8").replace('id = "bls_generic"', 'id = "my_cuff"')


def faults_of(directory: Path, text: str) -> dict[str, tuple[int, str]]:
    path = directory / "my_cuff.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        check(path)
    return {fault.key: (fault.line, fault.message) for fault in caught.value.faults}


def line_with(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
def test_every_shipped_profile_decodes_its_own_vectors(path: Path) -> None:
    assert check(path).device.id == path.stem


def test_all_faults_of_a_ble_profile_are_told_at_once_each_with_its_line(tmp_path: Path) -> None:
    text = (
        CUFF.replace('bond = "required"', 'bond = "maybe"')
        .replace('characteristic = "2A35"', 'characteristic = "2A3"')
        .replace("reserved_mask = 0xE0", 'reserved_mask = "E0"')
        .replace('when = "flags & 4"', 'when = "flags > 4"')
        .replace('quantity = "mean_arterial"', 'quantity = "mean"')
    )
    faults = faults_of(tmp_path, text)
    assert {key: line for key, (line, _) in faults.items()} == {
        "device.bond": line_with(text, 'bond = "maybe"'),
        "source.0.characteristic": line_with(text, "characteristic ="),
        "source.0.field.0.reserved_mask": line_with(text, "reserved_mask"),
        "source.0.field.5.when": line_with(text, "flags > 4"),
        "source.0.field.3.quantity": line_with(text, 'quantity = "mean"'),
    }


def test_a_vector_that_decodes_to_something_else_is_shown_in_hex_and_in_values(tmp_path: Path) -> None:
    text = CUFF.replace("systolic = 125,", "systolic = 126,")
    ((line, message),) = faults_of(tmp_path, text).values()
    assert line == line_with(text, "[[tests]]")
    assert message == "167d0050006600e10701100c273640000000: systolic decodes to 125.0, promised 126"


def test_a_model_like_another_takes_its_layout_and_must_prove_it(tmp_path: Path) -> None:
    (tmp_path / "my_cuff.toml").write_text(CUFF, encoding="utf-8")
    other = tmp_path / "other_cuff.toml"
    like = """
        schema = 1
        [device]
        id = "other_cuff"
        class = "blood_pressure_monitor"
        transport = "ble-gatt"
        like = "my_cuff"
        match = { name_prefix = ["Other"] }
        [[tests]]
        hex = "0078005000600f"
        reject = "truncated"
        """
    other.write_text(like.replace("600f", "60"), encoding="utf-8")
    assert check(other).source[0].field[1].name == "systolic"
    other.write_text(like.replace('like = "my_cuff"', 'like = "no_cuff"'), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 7: device.like: no model 'no_cuff' beside this file"):
        check(other)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('transport = "ble-gatt"', 'transport = "ble-adv"'), "names its service_data or company"),
        (('match = { services = ["1810"] }', ""), "takes device.match"),
        (('key = ["time_local", "systolic"', 'key = ["time_local", "systole"'), "dedupe names no field"),
        (('less = [["diastolic", "systolic"]]', 'less = [["low", "systolic"]]'), "no field is called low"),
        (("[dedupe]", '[stream]\nrate_hz = 1\nsamples = "a"\nsequence = "b"\n[dedupe]'), "takes no [stream]"),
    ],
)
def test_parts_that_do_not_belong_together_are_told(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    assert said in " ".join(message for _, message in faults_of(tmp_path, CUFF.replace(*change)).values())


def test_the_commands_print_and_exit_as_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "my_cuff.toml", tmp_path / "bad.toml"
    good.write_text(CUFF, encoding="utf-8")
    bad.write_text("schema = 2\n", encoding="utf-8")
    assert cli.main(["profile", "check", str(good)]) == 0
    assert "my_cuff, 6 vectors decoded" in capsys.readouterr().out
    assert cli.main(["profile", "check", str(good), str(bad)]) == 78
    assert "line 1: schema" in capsys.readouterr().err
    assert cli.main(["profile", "decode", "mi_scale_1", "--hex", "22 9e 43 e5 07 04 0b 10 13 01"]) == 0
    assert json.loads(capsys.readouterr().out)["weight"] == 86.55
    assert cli.main(["profile", "decode", str(good), "--hex", "fe00"]) == 1
    assert "refused: reserved" in capsys.readouterr().err
    assert cli.main(["profile", "decode", "no_such", "--hex", "00"]) == 78
    assert cli.main(["profile", "decode", "xy_md02", "--hex", "010404011801a1ba57", "--poll", "7"]) == 78
    assert cli.main(["profile", "list"]) == 0
    assert "`r60abd1`" in capsys.readouterr().out


def test_the_table_names_every_family_with_its_models() -> None:
    found = {entry.family.name: entry for entry in entries()}
    assert len(found) >= 12
    assert "bls_generic" in found["bls"].models
    assert any("slower than 60" in text for text in found["r60abd1"].blind())


def test_the_readme_holds_the_table_as_it_is_generated_now() -> None:
    text = README.read_text(encoding="utf-8")
    section = text[text.index(MARKS[0]) : text.index(MARKS[1])].splitlines()
    assert [line for line in section[1:] if line] == table(), "run: carebed profile list --into README.md"


def test_the_table_is_written_between_the_marks_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n", encoding="utf-8")
    assert cli.main(["profile", "list", "--into", str(path)]) == 0
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines == ["before", MARKS[0], "", *table(), "", MARKS[1], "after"]
    path.write_text("no marks", encoding="utf-8")
    assert cli.main(["profile", "list", "--into", str(path)]) == 78
    assert path.read_text(encoding="utf-8") == "no marks"
