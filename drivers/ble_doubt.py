"""Says once when a registered device cannot be the model that it is registered as: somebody chose the wrong line."""

from collections.abc import Callable, Mapping, Sequence

from drivers.base import Device
from drivers.ble_models import candidates
from drivers.ble_seen import Sightings
from drivers.recognise import Proposal, contradiction
from gateway.core.clock import Clock
from gateway.core.model import Event

LOOK_S = 10.0  # real seconds between two looks; nothing of this is done while an advert is taken in
ENOUGH = 8  # adverts after which a device has said of itself what it says


class Doubts:
    """Compares what registered devices say in the air with what they are registered as. sightings: by adapter."""

    def __init__(
        self, sightings: Mapping[str, Sightings], devices: Sequence[Device], clock: Clock,
        on_event: Callable[[Event], None],
    ) -> None:  # fmt: skip
        self._sightings = sightings
        self._devices = [device for device in devices if device.link in sightings and device.address]
        self._clock = clock
        self._on_event = on_event
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look now and then until cancelled."""
        while True:
            await self._clock.sleep(LOOK_S * self._clock.speed)
            self.look()

    def look(self) -> None:
        """One look; a device that was doubted once is not doubted again."""
        for device in self._devices:
            if device.id not in self._told and (other := self.doubt(device)) is not None:
                self._told.add(device.id)
                self._tell(device, other)

    def doubt(self, device: Device) -> Proposal | None:
        """The other model that the device seems to be; None while nothing contradicts its own."""
        heard = self._sightings[device.link].of(device.address)
        if heard is None or heard.adverts < ENOUGH:
            return None
        return contradiction(heard.traits, device.family, device.model, candidates())

    def _tell(self, device: Device, other: Proposal) -> None:
        detail = {
            "model": device.model,
            "seems": other.model,
            "family": other.family,
            "hint": f"its adverts are those of {other.model} (family {other.family}), not of {device.model}: "
            "correct the device's entry in the ward file, then: carebed provision import FILE",
        }
        self._on_event(Event("model_doubted", self._clock.now(), device.bed, device.id, detail))
