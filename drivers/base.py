"""What every driver is and what it may tell the house: one Protocol each way.

A driver is run by `gateway.supervise`: it connects, streams until the link breaks and raises LinkError (wait and try
again), PairingError (a person is needed) or is cancelled. It never retries by itself, never logs what it raises and
never swallows CancelledError.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gateway.core.clock import Clock
from gateway.core.model import Event, Measurement, SampleBlock

Setting = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the registry knows it.

    link: name of the serial port or BLE adapter in carebed.toml. address: Bluetooth address, Modbus unit id, or "" on a
    point-to-point port. settings: by family, e.g. {"purpose": "sos"} or {"position": "wrist"}.
    """

    id: str
    family: str
    model: str
    link: str
    bed: str | None = None
    address: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)


class Sink(Protocol):
    """Where a driver puts what it heard. Every call returns at once and never raises: the pipeline's queues are bounded
    and mark what they drop."""

    def block(self, block: SampleBlock) -> None:
        """Consecutive raw samples, with the number lost before them."""

    def measurement(self, measurement: Measurement) -> None:
        """A value the device itself measured."""

    def event(self, event: Event) -> None:
        """Something that happened: a button, a contact, a lost link."""

    def rejected(self, device: str, reason: str, raw: bytes, *, count: int = 1) -> None:
        """Bytes that were not understood: counted by reason and the last ones kept in hex."""

    def heard(self, device: str, *, rssi_dbm: int | None = None) -> None:
        """The device gave a sign of life just now."""


class Driver(Protocol):
    """One owner of one device, or of one bus with all its slaves."""

    @property
    def devices(self) -> tuple[Device, ...]:
        """The devices this driver answers for."""

    async def run(self, sink: Sink) -> None:
        """Connect and stream until the link breaks. LinkError, PairingError, or CancelledError."""


LinkT = TypeVar("LinkT")


@dataclass(frozen=True, slots=True)
class Family(Generic[LinkT]):
    """What the catalogue needs to know of a family.

    transport: "serial", "modbus-rtu", "ble-gatt" or "ble-adv"; on "modbus-rtu" all devices of one bus share one driver,
    everywhere else `make` is called with one device. models: profile ids the family ships.
    """

    name: str
    transport: str
    models: tuple[str, ...]
    make: Callable[[Sequence[Device], LinkT, Clock], Driver]
