"""The ward's own process: virtual devices on real pseudo-terminals and a real (virtual) radio, moved by commands.

One JSON object a line. In: {"do": "fall", "bed": 1, ...}. Out: first {"ready": {...}}, then one line for each command
with the real CLOCK_BOOTTIME at which the device's last byte left, and at the end what was sent and what the line ate.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.bed_belt.driver import HERE as BELTS
from drivers.bed_belt.frame import BeltFormat, load_format
from drivers.bed_belt.peer import BeltInput, BeltPeer
from drivers.ble_virtual_ward import RadioSpace
from drivers.bthome.peer import BthomeButton
from drivers.faulty_line import VirtualPort
from drivers.hrs.frame import HeartRate
from drivers.polar_pmd.peer import RATE_HZ, PolarBand
from drivers.profile import models_in
from gateway.core.clock import Clock, ScaledClock
from gateway.core.model import Stamp
from gateway.demo.bus import Bus
from gateway.demo.models import Sleeper, Wrist
from gateway.demo.recordings import Recordings
from gateway.demo.site import BAND_ADDRESS, BELT, BUTTON_ADDRESS

FRAME_SAMPLES = 10
FULL_SCALE = 32_768.0  # counts of the belt's 16-bit sample
LOSSY = 0.002  # part of a belt's frames that the cable disturbs
BEACON_S = 600.0  # a button's sign of life


class VirtualBed:
    """One bed with its belt, band and button."""

    def __init__(self, number: int, ward: "Ward", *, worn: bool) -> None:
        self.number = number
        self._clock = ward.clock
        self._fallen: asyncio.Future[Stamp] | None = None
        recordings = ward.recordings
        self.sleeper = Sleeper(
            number,
            intervals=recordings.intervals(number) if recordings else None,
            breath=recordings.breath(number) if recordings else None,
        )
        self.wrist = Wrist(number, rate_hz=float(RATE_HZ))
        self.port = VirtualPort()
        self.samples_sent = 0
        self.belt = BeltPeer(self.port.fd, ward.clock, ward.belt_format, self._felt(), seed=number, share=ward.lossy)
        self.band = self._wear(ward) if worn else None
        self.button = BthomeButton(ward.space, ward.clock, BUTTON_ADDRESS.format(number))

    def _wear(self, ward: "Ward") -> PolarBand:
        address, name = BAND_ADDRESS.format(self.number), f"Polar Sense {self.number}"
        return PolarBand(ward.space, ward.clock, address, self._moved, self._pulse, name=name)

    def _moved(self, count: int) -> NDArray[np.floating]:
        """The band's next samples, the newest of them taken now."""
        falling = self.wrist.falling
        samples = self.wrist.take(count)
        if falling and not self.wrist.falling and self._fallen is not None:
            self._fallen.set_result(self._clock.now().plus_s((falling - count) / RATE_HZ))
            self._fallen = None
        return samples

    async def fall(self, recorded: NDArray[np.float64] | None) -> Stamp:
        """Fall now, as recorded or as the model has it; when the band had taken the last sample of it."""
        if self.band is None:
            raise ValueError(f"bed {self.number} has no band, so nobody would see a fall")
        if self._fallen is None:
            self._fallen = asyncio.get_running_loop().create_future()
        self.wrist.fall(recorded)
        return await self._fallen

    def _felt(self) -> Iterator[BeltInput]:
        while True:
            wave, load_kg = self.sleeper.take(FRAME_SAMPLES)
            self.samples_sent += FRAME_SAMPLES
            yield BeltInput(np.clip(wave / FULL_SCALE, -1, 1), load_kg)

    def _pulse(self) -> HeartRate:
        bpm = round(self.wrist.heart_rate_per_min())
        return HeartRate(bpm, contact=True, rr=(round(60 / bpm * 1024),))


class Ward:
    """All devices of the virtual site."""

    def __init__(self, clock: Clock, beds: int, *, bands: int, lossy: float, recordings: Recordings | None) -> None:
        self.clock = clock
        self.recordings = recordings
        self.lossy = lossy
        self.space = RadioSpace()
        self.belt_format: BeltFormat = load_format(models_in(BELTS)[BELT[1]])
        self.beds = [VirtualBed(number, self, worn=number <= bands) for number in range(1, beds + 1)]
        self.bus = Bus(clock, beds)
        self._falls = recordings.falls() if recordings else iter(())

    async def start(self) -> dict[str, Any]:
        """Switch everything on; returns where the gateway finds it."""
        hci_port = await self.space.serve()
        for bed in self.beds:
            if bed.band is not None:
                await bed.band.start()
        return {"belts": [bed.port.path for bed in self.beds], "bus": self.bus.port.path, "hci_port": hci_port}

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.bus.run())
            tasks.create_task(self._beacons())
            for bed in self.beds:
                tasks.create_task(bed.belt.run())
                if bed.band is not None:
                    tasks.create_task(bed.band.run())

    async def _beacons(self) -> None:
        while True:
            for bed in self.beds:
                bed.button.beacon()
            await self.clock.sleep(BEACON_S)

    async def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command; the answer bears the real time at which it was done."""
        action = command["do"]
        bed = self.beds[command["bed"] - 1] if command.get("bed") else None
        answer: dict[str, Any] = {"done": action, "bed": command.get("bed")}
        if bed is None:
            answer["real_ns"] = await self._site(action, command)
        else:
            answer |= await self._bed(bed, action)
        return answer

    async def _site(self, action: str, command: dict[str, Any]) -> int:
        if action != "kiosk_reading":
            raise ValueError(f"the ward has no command {action!r} without a bed")
        self.bus.kiosk_reading(command["systolic"], command["diastolic"], command["pulse_rate"])
        return self.clock.real_ns()

    async def _bed(self, bed: VirtualBed, action: str) -> dict[str, Any]:
        more: dict[str, Any] = {}
        match action:
            case "restless" | "calm":
                bed.sleeper.restless = action == "restless"
            case "leave_bed" | "return_to_bed":
                bed.sleeper.in_bed = action == "return_to_bed"
                bed.wrist.walking = action == "leave_bed"
                self.bus.mat(bed.number, occupied=bed.sleeper.in_bed)
            case "fall":
                more = await self._fall(bed)
            case "stand_up":
                bed.wrist.stand_up()
            case "press_button":
                more = {"real_ns": self.clock.real_ns()}
                await bed.button.press()
            case "pull_cord" | "release_cord":
                self.bus.cord(bed.number, pulled=action == "pull_cord")
            case "band_away" | "band_back":
                self._band_range(bed, away=action == "band_away")
            case _:
                raise ValueError(f"the ward has no command {action!r} for a bed")
        return {"real_ns": self.clock.real_ns(), **more}

    def _band_range(self, bed: VirtualBed, *, away: bool) -> None:
        if bed.band is None:
            raise ValueError(f"bed {bed.number} has no band")
        if away:
            bed.band.disappear()
        else:
            bed.band.reappear()

    async def _fall(self, bed: VirtualBed) -> dict[str, Any]:
        """Answers when the last sample of the fall has been taken by the band."""
        recorded = next(self._falls, None)
        last = await bed.fall(recorded.at_rate(float(RATE_HZ)) if recorded else None)
        return {"recording": recorded.name if recorded else None, "real_ns": self.clock.real_ns_of(last)}

    def sums(self) -> dict[str, Any]:
        """What was sent, and what the cables did to it."""
        return {
            "belt_samples_sent": sum(bed.samples_sent for bed in self.beds),
            "belt_frames_disturbed": sum(sum(bed.belt.line.disturbed.values()) for bed in self.beds),
        }


async def serve(ward: Ward) -> None:
    """Answer commands from standard input until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say({"ready": await ward.start()})
    running: set[asyncio.Task[None]] = set()
    life = asyncio.create_task(ward.run())
    while line := await reader.readline():
        task = asyncio.create_task(_carry_out(ward, json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    _say({"sums": ward.sums()})
    await ward.space.close()


async def _carry_out(ward: Ward, command: dict[str, Any]) -> None:
    _say(await ward.do(command))


def _say(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beds", type=int, default=2)
    parser.add_argument("--bands", type=int, default=2, help="how many of the beds have a band")
    parser.add_argument("--lossy", type=float, default=LOSSY, help="part of a belt's frames that the cable disturbs")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--origin-real-ns", type=int, required=True)
    parser.add_argument("--origin-utc-ns", type=int, required=True)
    parser.add_argument("--recordings", type=Path)
    options = parser.parse_args()
    logging.getLogger("bumble").setLevel(logging.ERROR)  # it warns of packets for links that a leaving host has ended
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is the orchestrator's: it ends us by closing our input
    clock = ScaledClock(
        options.speed, origin_real_ns=options.origin_real_ns, origin_utc_ns=options.origin_utc_ns, boot_id="0000d3e0"
    )
    recordings = Recordings(options.recordings) if options.recordings else None

    async def live() -> None:
        await serve(Ward(clock, options.beds, bands=options.bands, lossy=options.lossy, recordings=recordings))

    asyncio.run(live())


if __name__ == "__main__":
    main()
