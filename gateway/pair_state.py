"""How far a pairing is, for whoever asks: no radio is loaded for that."""

from dataclasses import dataclass
from enum import StrEnum

WINDOW_S = 120.0  # a person needs a moment to find the device's button; meters stop asking after 30 to 120 s


class Step(StrEnum):
    """How far a pairing is. The texts are under "pair." in the catalogues."""

    WAITING = "waiting"  # for the device to be heard, and for its answer
    PASSKEY = "passkey"  # the device shows six digits: a person types them here
    SHOW = "show"  # six digits from here are typed into the device
    CONFIRM = "confirm"  # both show six digits: are they the same?
    BONDED = "bonded"
    FAILED = "failed"


OVER = (Step.BONDED, Step.FAILED)


@dataclass(frozen=True, slots=True)
class PairState:
    """device: "" before the first pairing. digits: of SHOW and CONFIRM. left_s: of the window.

    reason, hint: of FAILED, in a technician's words.
    """

    device: str = ""
    step: str = ""
    digits: str = ""
    reason: str = ""
    hint: str = ""
    left_s: float = 0.0
