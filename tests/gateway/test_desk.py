"""What a platform is told of devices: what they measure, what is hidden from them, how their calls are supervised."""

from msgspec import UNSET

from drivers.base import Device
from gateway.core.clock import ManualClock
from gateway.core.model import Measurement, Mode
from gateway.desk import _listed
from gateway.readmodel import Identity, ReadModel
from gateway.upstream.envelope import InvDevice, Sees
from tests.gateway.house import BEDS, Memory

DEVICES = (
    Device("radar", "r60abd1", "r60abd1", "port", BEDS[0].id),
    Device("button", "bthome", "shelly_blu_button1", "radio", BEDS[0].id, settings={"purpose": "sos"}),
    Device("band", "polar_pmd", "verity_sense", "radio", BEDS[0].id),
)


def listed(model: ReadModel) -> dict[str, InvDevice]:
    return {state.id: _listed(state, 1000) for state in model.devices()}


def model_of() -> ReadModel:
    model = ReadModel(ManualClock(), Identity("gw-1", "s-1", "0", Mode.REAL), Memory())
    model.set_inventory(BEDS, DEVICES, 1)
    return model


def test_the_inventory_says_what_a_radar_measures_and_what_it_cannot_see() -> None:
    radar = listed(model_of())["radar"]
    assert {"heart_rate", "respiration_rate", "bed_occupied"} <= set(radar.caps)
    assert isinstance(radar.sees, dict)
    assert (radar.sees["heart_rate"].lo, radar.sees["heart_rate"].hi) == (60, 120)
    assert radar.sees["bed_occupied"].late_s == 30
    assert radar.sees["heart_rate"].blind
    assert Sees() not in radar.sees.values()


def test_the_inventory_says_that_a_buttons_test_press_is_due() -> None:
    sos = listed(model_of())["button"].sos
    assert isinstance(sos, list)
    (path,) = sos
    assert (path.way, path.proof, path.due) == ("none", "unsupervised", True)


def test_the_inventory_says_worn_only_of_what_has_told_it() -> None:
    model = model_of()
    assert listed(model)["band"].worn is UNSET
    model.saw_measurement(Measurement(BEDS[0].id, "band", "worn", 1.0, "1", ManualClock().now()))
    assert (listed(model)["band"].worn, listed(model)["band"].chg) == (True, UNSET)
