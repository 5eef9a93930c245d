"""What the answers of a whole bus say of its wiring: an adapter that hears itself, exchanged wires, a noisy line.

Exchanged wires turn every bit round: what arrives is garbage to every question, from every slave, from the first one
on. So does a wrong baud rate; the hint names both. Silence alone says less (no power, no wire): each slave tells it.
"""

from drivers.base import Sink
from drivers.modbus_rtu.bus import NoReply, Reply
from gateway.core.model import Event, Stamp

SUSPECT_POLLS = 6  # in a row without one intact answer, all of them garbage
GARBAGE = ("noise", "babble", "checksum", "half_reply")

ECHO_HINT = "nothing to do: the echo is left out; the adapter's echo or receive-during-send switch may be turned off"
SWAP_HINT = "exchange the wires A and B at the adapter; if that changes nothing compare baud and format with the slaves"
NOISE_HINT = "look for a loose wire, a missing 120 ohm terminator, a second master or a device that talks unasked"


class Wiring:
    """Watches every outcome on one bus. echo: the adapter hears itself. suspicion: "", "swapped" or "noisy"."""

    def __init__(self, port: str, slaves: int) -> None:
        self.echo = False
        self.suspicion = ""
        self._part = f"bus {port}"
        self._enough = max(SUSPECT_POLLS, slaves)
        self._answered = False
        self._garbage = 0

    def start(self) -> None:
        """The port has been opened: somebody may have mended the wires meanwhile."""
        self._answered = False
        self._garbage = 0

    def answered(self, reply: Reply, sink: Sink) -> None:
        """An intact answer: these wires are right."""
        self._heard_itself(reply.echo, reply.at, sink)
        self._answered, self._garbage = True, 0
        if self.suspicion:
            self.suspicion = ""
            sink.event(Event("box_recovered", reply.at, detail={"part": self._part}))

    def failed(self, failure: NoReply, sink: Sink) -> None:
        """A question without a usable answer."""
        self._heard_itself(failure.echo, failure.at, sink)
        self._garbage = self._garbage + 1 if failure.reason in GARBAGE else 0
        if self._garbage < self._enough or self.suspicion:
            return
        self.suspicion, hint = ("noisy", NOISE_HINT) if self._answered else ("swapped", SWAP_HINT)
        reason = f"{self._garbage} polls in a row brought only garbage"
        detail = {"part": self._part, "reason": reason, "suspicion": self.suspicion, "hint": hint}
        sink.event(Event("box_trouble", failure.at, detail=detail))

    def _heard_itself(self, echo: bool, at: Stamp, sink: Sink) -> None:
        if echo and not self.echo:
            self.echo = True
            sink.event(Event("bus_echo", at, detail={"part": self._part, "hint": ECHO_HINT}))
