"""How many samples are missing before a frame, told from its sequence number; never a sample more than was sent.

A number ahead is a loss, counted exactly. A number behind is an old frame and is dropped, unless it goes on counting
from there: then the belt has been reset, and the loss is what the time between the frames has room for.
"""

from gateway.core.model import Stamp

OLD_FRAMES = 32  # how far behind a number may be and still be an old frame rather than a reset belt
RESET_RUN = 5  # old numbers in a row that prove a reset: no belt repeats five frames in order
SLACK_S = 2.0  # how far a belt's numbers may run ahead of our clock: receipt lag of a busy box


class SequenceTracker:
    """Carries the last accepted frame. modulus: how many sequence numbers there are; rate_hz: samples a second."""

    def __init__(self, modulus: int, rate_hz: float) -> None:
        self._modulus = modulus
        self._rate_hz = rate_hz
        self._last: int | None = None
        self._last_at: Stamp | None = None
        self._last_samples = 0
        self._old_run = 0
        self._old_last = -1
        self.resets = 0

    def lost_before(self, sequence: int, samples: int, at: Stamp) -> int | None:
        """Samples missing before this frame of `samples`, received at `at`; None when the frame must be dropped."""
        if self._last is None or self._last_at is None:
            return self._accept(sequence, samples, at, lost=0)
        elapsed_s = at.since_s(self._last_at)
        frame_s = self._last_samples / self._rate_hz
        ahead = (sequence - self._last - 1) % self._modulus
        unambiguous = elapsed_s < frame_s * self._modulus / 2
        if unambiguous and ahead * frame_s <= elapsed_s + SLACK_S:
            return self._accept(sequence, samples, at, lost=ahead * self._last_samples)
        behind = self._modulus - 1 - ahead
        if unambiguous and behind <= OLD_FRAMES and not self._counts_on(sequence):
            return None
        self.resets += 1
        return self._accept(sequence, samples, at, lost=max(1, round(elapsed_s * self._rate_hz) - samples))

    def _counts_on(self, sequence: int) -> bool:
        self._old_run = self._old_run + 1 if sequence == (self._old_last + 1) % self._modulus else 1
        self._old_last = sequence
        return self._old_run >= RESET_RUN

    def _accept(self, sequence: int, samples: int, at: Stamp, *, lost: int) -> int:
        self._last, self._last_at, self._last_samples = sequence, at, samples
        self._old_run, self._old_last = 0, -1
        return lost
