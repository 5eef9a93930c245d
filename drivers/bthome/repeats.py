"""Tells the repeats of one advert burst from a new press, and a replayed encrypted advert from a live one."""

from collections.abc import Hashable

from drivers.bthome.frame import Objects
from gateway.core.model import Stamp

SAME_ID_S = 4.0  # a burst repeats its packet id 5 to 30 times; a later equal id is a new packet (ids wrap at 256)
SAME_PAYLOAD_S = 2.0  # without a packet id
COUNTER_RESTART = 100  # a counter below this is a device whose battery was changed


class Repeats:
    """State of one device. A packet id that looks old is as good as any other: a press must never be argued away."""

    def __init__(self, same_id_s: float = SAME_ID_S, same_payload_s: float = SAME_PAYLOAD_S) -> None:
        self._same_id_s = same_id_s
        self._same_payload_s = same_payload_s
        self._seen: dict[Hashable, Stamp] = {}  # bounded: what is older than same_id_s is dropped at each advert
        self._counter: int | None = None

    def fresh(self, objects: Objects, payload: bytes, at: Stamp) -> bool:
        """True for the first advert of a burst. A burst lasts as long as its repeats keep coming.

        An encrypted advert is fresh by its counter alone. Equal ids with other button codes are not the same packet.
        """
        if objects.counter is not None:
            newest, self._counter = self._counter, objects.counter
            return objects.counter != newest
        key: Hashable = payload
        window_s = self._same_payload_s
        if objects.packet_id is not None:
            key, window_s = (objects.packet_id, objects.presses), self._same_id_s
        self._seen = {old: seen for old, seen in self._seen.items() if at.since_s(seen) < self._same_id_s}
        last = self._seen.get(key)
        self._seen[key] = at
        return last is None or at.since_s(last) >= window_s

    def forget(self) -> None:
        """The packet heard last could not be told: whatever comes next is fresh."""
        self._seen.clear()
        self._counter = None if self._counter is None else self._counter - 1

    def replayed(self, objects: Objects) -> bool:
        """True for an encrypted advert older than the newest one."""
        counter, newest = objects.counter, self._counter
        return counter is not None and newest is not None and COUNTER_RESTART <= counter < newest
