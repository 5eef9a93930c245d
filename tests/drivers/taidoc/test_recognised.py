"""What a TaiDoc meter says in the air leads to the standard's service where it offers one, else to its own protocol."""

import pytest

from drivers.ble_models import candidates
from drivers.profile_ble import full_uuid
from drivers.recognise import Traits, decided, recognise
from drivers.taidoc.frame import SERVICE


@pytest.mark.parametrize(
    ("name", "service", "family", "model"),
    [
        ("TAIDOC TD3128", full_uuid("1810"), "bls", "taidoc_bls"),
        ("TAIDOC TD3128", SERVICE, "taidoc_ble", "td_3128"),
        ("TAIDOC TD3261", SERVICE, "taidoc_ble", "td_3261"),
        ("FORA IR40", full_uuid("1809"), "hts", "taidoc_hts"),
        ("TAIDOC TD4216", full_uuid("1808"), "gls", "taidoc_gls"),
        ("TAIDOC TD4216", SERVICE, "taidoc_ble", "td_4216"),
        ("TAIDOC TD8255", full_uuid("1822"), "plx", "taidoc_plx"),
        ("TAIDOC TD2555", SERVICE, "taidoc_ble", "td_2555"),
    ],
)
def test_the_service_in_the_advert_decides_which_family_is_proposed(
    name: str, service: str, family: str, model: str
) -> None:
    proposal = decided(recognise(Traits(name, frozenset((service,))), candidates()))
    assert proposal is not None
    assert (proposal.family, proposal.model) == (family, model)


def test_a_device_that_only_borrows_the_service_is_proposed_as_no_taidoc_meter() -> None:
    """The radon meter FR:RD200 uses the same numbers, which a maker's example once had."""
    assert recognise(Traits("FR:RD200", frozenset((SERVICE,))), candidates()) == ()
