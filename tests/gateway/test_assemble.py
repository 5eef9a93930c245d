"""What the rules are told of beds and devices: what is delivered, within which limits, and who can be missed."""

from dataclasses import dataclass

from drivers.base import Device
from gateway.assemble import bed_scopes, device_scopes

ANNE, BERT = "b-00000001", "b-00000002"


@dataclass(frozen=True)
class Bed:
    id: str
    profile: str = "standard"
    resident: str | None = None


BEDS = (Bed(ANNE), Bed(BERT))
RADAR = Device("radar", "r60abd1", "r60abd1", "port-1", ANNE)
BELT = Device("belt", "bed_belt", "open_belt_1", "port-2", ANNE)


def test_a_bed_with_a_radar_alone_has_the_radars_range_and_its_neighbour_has_nothing() -> None:
    anne, bert = bed_scopes(BEDS, [RADAR])
    assert anne.ranges["heart_rate"] == ((60.0, 120.0),)
    assert "bed_occupied" in anne.quantities
    assert (bert.quantities, bert.ranges) == (frozenset(), {})


def test_a_belt_beside_the_radar_sees_what_the_radar_does_not() -> None:
    anne, _ = bed_scopes(BEDS, [RADAR, BELT])
    assert "heart_rate" in anne.quantities
    assert "heart_rate" not in anne.ranges


def test_a_mat_on_a_shared_module_is_expected_of_the_bed_it_is_wired_to() -> None:
    wires = {"di1": "mat", "di1_bed": BERT, "di2": "pull_cord", "di2_bed": ANNE}
    anne, bert = bed_scopes(BEDS, [Device("contacts", "modbus_rtu", "waveshare_io8", "bus", None, "1", wires)])
    assert (anne.quantities, bert.quantities) == (frozenset(), frozenset({"bed_occupied"}))


def test_a_cuff_in_its_drawer_is_not_missed_and_a_belt_is() -> None:
    cuff = Device("cuff", "bls", "bls_generic", "radio", ANNE)
    assert [scope.supervised for scope in device_scopes([cuff, BELT])] == [False, True]
