"""Which model is this? What a device says in the air, held against what the profiles' `match` says of each model.

Pure: no radio, no clock. Several models may fit the same advert (every cuff offers service 0x1810): then all are
proposed and none is called the one. A reading of a wrong model is worse than one question to the installer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from drivers.profile_ble import Match

NAME = 4
WEIGHTS = {"layout": 8, "name": NAME, "data": 2, "service": 1}  # of evidence; layout: data of exactly the right length


@dataclass(frozen=True, slots=True)
class Traits:
    """What a device has said of itself. service_data and companies: bytes of the data that it broadcasts, by full
    128-bit uuid in lower case and by company id."""

    name: str | None = None
    services: frozenset[str] = frozenset()
    service_data: Mapping[str, int] = field(default_factory=dict)
    companies: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may be proposed."""

    family: str
    model: str
    match: Match


@dataclass(frozen=True, slots=True)
class Proposal:
    """A model that fits. why: "layout", "name", "data", "service". certain: everything that its profile asks for was
    heard; otherwise the device has not said its name yet."""

    family: str
    model: str
    why: tuple[str, ...]
    certain: bool
    weight: int

    @property
    def possible(self) -> int:
        """What the evidence would weigh if the name proved right."""
        return self.weight if self.certain else self.weight + NAME


def recognise(traits: Traits, candidates: Iterable[Candidate]) -> tuple[Proposal, ...]:
    """Every model that fits, best first: what is certain before what waits for a name, the more particular first."""
    found = [proposal for candidate in candidates if (proposal := fits(traits, candidate)) is not None]
    return tuple(sorted(found, key=lambda one: (not one.certain, -one.weight, one.family, one.model)))


def decided(proposals: Sequence[Proposal]) -> Proposal | None:
    """The one model that it is; None when none fits, or when another one may be it just as well."""
    if not proposals or not proposals[0].certain:
        return None
    best, *others = proposals
    return best if all(one.possible < best.weight for one in others) else None


def fits(traits: Traits, candidate: Candidate) -> Proposal | None:
    """None when something that was heard contradicts the model, or nothing speaks for it."""
    match, why = candidate.match, []
    broadcast = [traits.service_data.get(match.service_data)] if match.service_data is not None else []
    broadcast += [traits.companies.get(match.company)] if match.company is not None else []
    for length in broadcast:
        if length is None or match.length not in (None, length):
            return None
        why.append("layout" if match.length else "data")
    certain = not match.name_prefix or traits.name is not None
    if match.name_prefix and traits.name is not None:
        if not traits.name.startswith(match.name_prefix):
            return None
        why.append("name")
    if match.services and traits.services.intersection(match.services):
        why.append("service")
    elif match.services and not why:  # a name may stand alone: an advert has no room for everything
        return None
    if not why:
        return None
    weight = sum(WEIGHTS[one] for one in why)
    return Proposal(candidate.family, candidate.model, tuple(why), certain, weight)


def contradiction(traits: Traits, family: str, model: str, candidates: Sequence[Candidate]) -> Proposal | None:
    """The other model that a device's adverts clearly are, while they cannot be those of the registered one.

    None while the registered model fits, is unknown here, or nothing else is certain.
    """
    own = [one for one in candidates if (one.family, one.model) == (family, model)]
    if not own or any(fits(traits, one) for one in own):
        return None
    return decided(recognise(traits, candidates))
