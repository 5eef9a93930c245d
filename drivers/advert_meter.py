"""Devices that broadcast their readings, as their profiles describe them: no connection, told once each."""

from collections.abc import Sequence
from pathlib import Path

from drivers.base import Device, Family, Sink
from drivers.ble_link import Advert, BleAdapter
from drivers.profile import models_in
from drivers.profile_ble import Source
from drivers.profile_models import Sources, load_model
from drivers.profile_reading import SourceReader
from drivers.profile_schema import Profile
from gateway.core.clock import Clock
from gateway.core.errors import ConfigError, Fault, ProtocolError


class AdvertMeter:
    """One device. Being silent is its normal state: nobody is on the scale."""

    def __init__(self, device: Device, adapter: BleAdapter, clock: Clock, profile: Profile) -> None:
        self.devices = (device,)
        self._device = device
        self._adapter = adapter
        self._sources = [
            (source, decoder, SourceReader(device, profile, source, clock))
            for source, decoder in Sources(profile).items()
        ]
        self._refused: bytes | None = None

    async def run(self, sink: Sink) -> None:
        """Listen until cancelled."""
        subscription = self._adapter.subscribe(self._device.address, lambda advert: self.heard(advert, sink))
        try:
            await subscription.failed
        finally:
            subscription.close()

    def heard(self, advert: Advert, sink: Sink) -> None:
        """One advert, at its receipt."""
        sink.heard(self._device.id, rssi_dbm=advert.rssi_dbm)
        for source, decoder, reader in self._sources:
            data = _data(source, advert)
            if data is None:
                continue
            try:
                decoded = decoder.decode(data)
            except ProtocolError as error:
                if data != self._refused:  # a broadcast is repeated ten times a second
                    self._refused = data
                    sink.rejected(self._device.id, str(error).split(":")[0], data)
                continue
            reader.take(decoded, data, advert.at, sink, repeats_are_news=False)


def _data(source: Source, advert: Advert) -> bytes | None:
    if source.service_data is not None:
        return advert.service_data.get(source.service_data)
    return advert.manufacturer_data.get(source.company) if source.company is not None else None


def advert_family(name: str, directory: Path) -> Family[BleAdapter]:
    """The family with the models whose profiles lie in `directory`."""
    paths = models_in(directory)

    def make(devices: Sequence[Device], adapter: BleAdapter, clock: Clock) -> AdvertMeter:
        (device,) = devices
        if device.model not in paths:
            message = f"unknown model {device.model!r}; known: {', '.join(paths)}"
            raise ConfigError(device.id, (Fault(0, "model", message, "name one of these models"),))
        return AdvertMeter(device, adapter, clock, load_model(paths[device.model]))

    return Family(name, "ble-adv", tuple(paths), make)
