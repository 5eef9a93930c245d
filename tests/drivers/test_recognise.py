"""Which model an advert belongs to: the particular before the general, and doubt told as doubt."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ble_models import candidates
from drivers.profile_ble import Match, full_uuid
from drivers.recognise import Candidate, Traits, contradiction, decided, recognise

CUFF, SCALE, FCD2 = full_uuid("1810"), full_uuid("181D"), full_uuid("FCD2")


def models(traits: Traits) -> list[str]:
    return [one.model for one in recognise(traits, candidates())]


def the_one(traits: Traits) -> str | None:
    found = decided(recognise(traits, candidates()))
    return found.model if found else None


def test_a_cuff_that_says_its_name_is_its_own_model_and_the_general_one_comes_second() -> None:
    traits = Traits("A&D_UA-651BLE_123456", frozenset((CUFF,)))
    assert models(traits) == ["and_ua651ble", "bls_generic"]
    assert the_one(traits) == "and_ua651ble"


def test_a_cuff_with_a_name_that_nobody_knows_is_the_general_model() -> None:
    assert models(Traits("BM54", frozenset((CUFF,)))) == ["bls_generic"]
    assert the_one(Traits("BM54", frozenset((CUFF,)))) == "bls_generic"


def test_a_cuff_that_has_not_said_its_name_may_be_several_and_is_called_none() -> None:
    traits = Traits(None, frozenset((CUFF,)))
    found = recognise(traits, candidates())
    assert (found[0].model, found[0].certain) == ("bls_generic", True)
    assert {"and_ua651ble", "omron_hem9200t"} <= {one.model for one in found[1:]}
    assert not any(one.certain for one in found[1:])
    assert the_one(traits) is None


def test_two_models_of_the_same_name_are_both_proposed_and_none_is_guessed() -> None:
    twins = [Candidate("x", name, Match(name_prefix=("Band",))) for name in ("one", "two")]
    found = recognise(Traits("Band 7"), twins)
    assert [one.model for one in found] == ["one", "two"]
    assert decided(found) is None


@pytest.mark.parametrize(
    ("traits", "model"),
    [
        (Traits(companies={0x004C: 23}), "ibeacon_generic"),
        (Traits(service_data={full_uuid("FEAA"): 20}), "eddystone_generic"),
        (Traits(None, frozenset((SCALE,)), {SCALE: 10}), "mi_scale_1"),
        (Traits("MIBFS", frozenset((full_uuid("181B"),)), {full_uuid("181B"): 13}), "mi_scale_2"),
        (Traits("R02_1A2B"), "colmi_r02"),
        (Traits("Contour7800H1234", frozenset((full_uuid("1808"),))), "contour_next_one"),
    ],
)
def test_what_broadcasts_data_of_a_known_kind_or_says_a_known_name_is_known(traits: Traits, model: str) -> None:
    assert the_one(traits) == model


@pytest.mark.parametrize(
    "traits",
    [
        Traits(), Traits("Jane's phone"), Traits(companies={0x004C: 12}), Traits("xA&D_UA-651BLE"),
        Traits(services=frozenset((full_uuid("110B"),))),
    ],
)  # fmt: skip
def test_a_phone_or_a_nearly_right_name_is_nothing(traits: Traits) -> None:
    assert models(traits) == []


def test_a_registered_model_that_its_adverts_cannot_be_is_contradicted_by_the_one_they_are() -> None:
    traits = Traits("A&D_UC-352BLE_1", frozenset((SCALE,)))
    found = contradiction(traits, "bls", "and_ua651ble", candidates())
    assert found is not None
    assert (found.family, found.model) == ("wss", "and_uc352ble")


@pytest.mark.parametrize(
    ("traits", "family", "model"),
    [
        (Traits("A&D_UA-651BLE_1", frozenset((CUFF,))), "bls", "bls_generic"),  # the general model fits as well
        (Traits("A&D_UA-651BLE_1", frozenset((CUFF,))), "bls", "my_own_cuff"),  # not shipped: nobody knows better
        (Traits("Jane's phone"), "bls", "and_ua651ble"),  # nothing else it could be
        (Traits(None, frozenset((CUFF,))), "wss", "and_uc352ble"),  # three cuffs it could be
    ],
)
def test_without_a_certain_other_model_nothing_is_contradicted(traits: Traits, family: str, model: str) -> None:
    assert contradiction(traits, family, model, candidates()) is None


def test_every_ble_profile_that_ships_can_be_recognised_by_what_it_asks_for() -> None:
    for one in candidates():
        match = one.match
        traits = Traits(
            match.name_prefix[0] if match.name_prefix else None,
            frozenset(match.services),
            {match.service_data: match.length or 20} if match.service_data else {},
            {match.company: match.length or 20} if match.company is not None else {},
        )
        assert one.model in models(traits), one


@given(
    st.builds(
        Traits,
        st.none() | st.text(max_size=20) | st.sampled_from(("Polar H10 1", "SBBT-002C", "BLEsmart_00000116")),
        st.frozensets(st.sampled_from((CUFF, SCALE, FCD2, full_uuid("180D"))), max_size=4),
        st.dictionaries(st.sampled_from((SCALE, FCD2)), st.integers(0, 30), max_size=2),
        st.dictionaries(st.integers(0, 0xFFFF) | st.just(0x004C), st.integers(0, 30), max_size=3),
    )
)
def test_what_is_decided_is_certain_and_outweighs_all_others(traits: Traits) -> None:
    found = recognise(traits, candidates())
    best = decided(found)
    assert all(one.certain >= two.certain for one, two in pairwise(found))
    if best is not None:
        assert best is found[0]
        assert best.certain
        assert all(one.possible < best.weight for one in found[1:])
