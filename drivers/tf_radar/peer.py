"""A virtual MR60BHA2: phases and rates, without being asked."""

from collections.abc import Callable

from drivers.framed_peer import FramedPeer
from drivers.profile_vectors import framed
from drivers.tf_radar.frame import PROFILE, encode
from gateway.core.clock import Clock


def radar(
    fd: int,
    clock: Clock,
    rates: Callable[[], tuple[float, float]],
    *,
    period_s: float = 1.0,
    seed: int = 0,
    share: float = 0.0,
) -> FramedPeer:
    """The device on `fd`. rates: respiration and heart rate a minute, 0 for no estimate; asked every period_s."""

    def frames() -> list[bytes]:
        respiration, heart = rates()
        phases = encode("0a13", 0.4, -0.1, 0.02)
        present = encode("0f09", data=b"\x01\x00")
        return [phases, encode("0a14", respiration), encode("0a15", heart), present]

    return FramedPeer(fd, clock, framed(PROFILE), frames, period_s=period_s, seed=seed, share=share)
