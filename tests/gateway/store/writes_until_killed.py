"""A process for the kill tests: writes to a store and says on stdout what was accepted, until somebody kills it.

Run with -m and the state directory as argument. One line for each resolved future: the stream and its number.
"""

import asyncio
import sys
from functools import partial
from pathlib import Path

from gateway.core.clock import SystemClock
from gateway.store.database import Store
from tests.gateway.store.facts import AT, BED, alarm, event, heart_rate, minute


def accepted(stream: str, future: "asyncio.Future[int]") -> None:
    sys.stdout.write(f"{stream} {future.result()}\n")
    sys.stdout.flush()


async def main(directory: Path) -> None:
    store = await Store.open(directory, SystemClock(), group_s=0.2)
    store.outbox.register("district")
    round_number = 0
    while True:
        round_number += 1
        futures = {
            "obs": store.journal.observation(heart_rate(60)),
            "summary": store.journal.bed_minute(BED, AT, [minute()]),
            "tech": store.journal.event(event("link_lost")),
        }
        if round_number % 20 == 0:
            seq = store.alarms.next_seq()
            futures["alarm"] = store.alarms.save(alarm(f"a-{seq}"), seq)
        for stream, future in futures.items():
            future.add_done_callback(partial(accepted, stream))
        await SystemClock().sleep(0.001)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
