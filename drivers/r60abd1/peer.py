"""A virtual R60ABD1: ready at once, answers its switches and questions, tells what the person on the bed does."""

from collections.abc import Callable
from dataclasses import dataclass

from drivers.framed_peer import FramedPeer
from drivers.profile_vectors import framed
from drivers.r60abd1.driver import READY, SLEEP_MODE, STATES, SWITCHES
from drivers.r60abd1.frame import PROFILE, encode
from gateway.core.clock import Clock


@dataclass
class Person:
    """Who is before the radar. rates: per minute, 0 for none."""

    in_bed: bool = True
    heart_rate: int = 66
    respiration_rate: int = 14
    movement_percent: int = 3


def radar(
    fd: int, clock: Clock, person: Callable[[], Person], *, period_s: float = 3.0, seed: int = 0, share: float = 0.0
) -> FramedPeer:
    """The device on `fd`; every period_s it tells rates and movement, and the bed's state when it has changed."""
    told: list[bool] = []

    def frames() -> list[bytes]:
        now = person()
        sent = [
            encode("0101", b"\x0f"),
            encode("8502", bytes([now.heart_rate])),
            encode("8102", bytes([now.respiration_rate])),
            encode("8003", bytes([now.movement_percent])),
        ]
        if told and told[-1] != now.in_bed:
            sent.append(encode("8401", bytes([now.in_bed])))
        told[:] = [now.in_bed]
        return sent

    states = dict.fromkeys(STATES, bytes([person().in_bed]))
    return FramedPeer(
        fd, clock, framed(PROFILE), frames,
        answers={READY: b"\x01", **states}, echo=frozenset((*SWITCHES, SLEEP_MODE)),
        period_s=period_s, seed=seed, share=share,
    )  # fmt: skip
