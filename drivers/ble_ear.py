"""Hearing that outlasts a failure: one device's adverts go on being taken in while its driver's supervisor waits."""

from collections.abc import Callable

from drivers.base import Sink
from drivers.ble_link import BleAdapter
from drivers.ble_radio import Advert, Subscription

Hear = Callable[[Advert, Sink], None]


class Ear:
    """The one subscription of a driver that may be called for help. address: None hears everybody.

    What `hear` raises ends the driver's run, but not the hearing: the next advert goes to the same sink.
    """

    def __init__(self, adapter: BleAdapter, device: str, address: str | None, hear: Hear) -> None:
        self._adapter = adapter
        self._device = device
        self._address = address
        self._hear = hear
        self._subscription: Subscription | None = None
        self._told = 0

    def open(self, sink: Sink) -> Subscription:
        """Hear for `sink` from now on; adverts that could not be taken in since the last time are told as refused."""

        def hear(advert: Advert) -> None:
            self._hear(advert, sink)

        if self._subscription is None:
            self._subscription = self._adapter.subscribe(self._address, hear, lasting=True)
            return self._subscription
        failed, self._told = self._subscription.failures - self._told, self._subscription.failures
        if failed:
            sink.rejected(self._device, "driver_failed", b"", count=failed)
        self._subscription.again(hear)
        return self._subscription
