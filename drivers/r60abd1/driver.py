"""The radar above a bed: waits until it is ready, switches on what is needed, asks for the states as they are."""

from pathlib import Path

from drivers.framed_serial import Talk, framed_family

QUERY = b"\x0f"
ON = b"\x01"
READY = bytes.fromhex("0581")
SWITCHES = tuple(bytes.fromhex(key) for key in ("8000", "8100", "8500", "8400"))  # presence, breath, heart, sleep
SLEEP_MODE = bytes.fromhex("840f")  # in real-time mode it does not say who is in bed
STATES = tuple(bytes.fromhex(key) for key in ("8481", "8081"))  # it tells changes only: ask what is now
TRIES = 3
RETRY_S = 5.0


async def start(talk: Talk) -> None:
    """Until it says that it is ready, then switch by switch; a firmware that answers nothing streams all the same."""
    for _ in range(TRIES):
        if await talk.ask(READY, QUERY) == ON:
            break
        await talk.clock.sleep(RETRY_S * talk.clock.speed)
    for key in (*SWITCHES, SLEEP_MODE):
        await _insist(talk, key, ON)
    for key in STATES:
        await _insist(talk, key, QUERY)


async def _insist(talk: Talk, key: bytes, data: bytes) -> None:
    for _ in range(TRIES):
        if await talk.ask(key, data) is not None:
            return


FAMILY = framed_family("r60abd1", Path(__file__).parent, {"r60_start": start})
