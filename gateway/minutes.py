"""One-minute buckets: n, min, mean, max, quality and the 1 Hz column of each quantity, closed together for each bed.

Where two devices measure the same quantity of one bed (belt and band both give a heart rate), each second keeps the
value of the better quality. Minutes are whole minutes of CLOCK_BOOTTIME.
"""

from collections.abc import Callable, Sequence

import numpy as np

from gateway.core.model import Gap, Measurement, Minute, Mode, Stamp

GRACE_S = 5.0  # a minute stays open this long after its end: estimators answer for the second that has just passed
SECONDS = 60
_MINUTE_NS = 60 * 10**9

OnBedMinute = Callable[[str, Stamp, Sequence[Minute]], None]


class _Bucket:
    """The seconds of one quantity in one minute."""

    __slots__ = ("column", "mode", "quality")

    def __init__(self, mode: Mode) -> None:
        self.column = np.full(SECONDS, np.nan, np.float32)
        self.quality = np.zeros(SECONDS, np.float32)
        self.mode = mode

    def put(self, second: int, value: float, quality: float) -> None:
        """Receipt stamps jitter by a fraction of a second: a value that finds its second taken by an equal source moves
        the earlier one to the empty second before it, so that 60 values of a minute stay 60."""
        taken = not np.isnan(self.column[second])
        if taken and second > 0 and np.isnan(self.column[second - 1]) and abs(self.quality[second] - quality) < 0.5:
            self.column[second - 1], self.quality[second - 1] = self.column[second], self.quality[second]
            taken = False
        if not taken or quality >= self.quality[second]:
            self.column[second], self.quality[second] = value, quality

    def close(self, bed: str, quantity: str, start: Stamp) -> Minute:
        measured = ~np.isnan(self.column)
        values = self.column[measured]
        return Minute(
            bed, quantity, start, int(measured.sum()), float(values.min()), float(values.mean(dtype=np.float64)),
            float(values.max()), float(self.quality[measured].mean()), self.column, self.mode,
        )  # fmt: skip


class MinuteBook:
    """Collects 1 Hz measurements and hands out each bed's minute when it can no longer change."""

    def __init__(self, on_minute: OnBedMinute, on_gap: Callable[[Gap], None]) -> None:
        self._on_minute = on_minute
        self._on_gap = on_gap
        self._open: dict[tuple[str, int], dict[str, _Bucket]] = {}
        self._boot_id = ""
        self._closed_until_ns: dict[str, int] = {}

    def add(self, measurement: Measurement) -> None:
        """Book one value; one that comes after its minute was closed leaves a Gap with the reason."""
        bed, at = measurement.bed, measurement.at
        if bed is None:
            return
        self._boot_id = at.boot_id
        start_ns = at.mono_ns // _MINUTE_NS * _MINUTE_NS
        if start_ns < self._closed_until_ns.get(bed, 0):
            self._on_gap(Gap(measurement.quantity, "came after its minute was closed", at, 1, bed, measurement.device))
            return
        buckets = self._open.setdefault((bed, start_ns), {})
        bucket = buckets.get(measurement.quantity)
        if bucket is None:
            bucket = buckets[measurement.quantity] = _Bucket(measurement.mode)
        bucket.put((at.mono_ns - start_ns) // 10**9, measurement.value, measurement.quality)

    def close_due(self, now: Stamp, *, grace_s: float = GRACE_S) -> None:
        """Close each minute that ended at least `grace_s` ago; a worker that catches up asks for a longer grace."""
        limit_ns = now.mono_ns - round(grace_s * 1e9)
        for bed, start_ns in sorted(self._open, key=lambda key: key[1]):
            if start_ns + _MINUTE_NS <= limit_ns:
                self._close(bed, start_ns)

    def close_all(self) -> None:
        """Close what is open, whole or not: the box is going down."""
        for bed, start_ns in sorted(self._open, key=lambda key: key[1]):
            self._close(bed, start_ns)

    def _close(self, bed: str, start_ns: int) -> None:
        buckets = self._open.pop((bed, start_ns))
        start = Stamp(self._boot_id, start_ns)
        self._closed_until_ns[bed] = start_ns + _MINUTE_NS
        self._on_minute(bed, start, [bucket.close(bed, name, start) for name, bucket in sorted(buckets.items())])
