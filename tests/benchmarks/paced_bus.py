"""An RS-485 bus that takes as long as its bytes would on a wire, in a process of its own.

A pseudo-terminal carries bytes at once: each answer is held back until the request, the slave's own delay and the
answer have had their time. Prints its port; then, for each line of its input, keeps silent for the unit named in it.
"""

import os
import select
import sys
import time

from drivers.faulty_line import VirtualPort
from drivers.modbus_rtu.driver import HERE
from drivers.modbus_rtu.frame import parse_request
from drivers.modbus_rtu.peer import VirtualSlave
from drivers.modbus_rtu.registers import load_map

REQUEST_BYTES = 8


def serve(slaves: int, character_s: float, delay_s: float) -> None:
    """Until the input ends."""
    port, profile, dead = VirtualPort(), load_map(HERE / "xy_md02.toml"), set[int]()
    units = {unit: VirtualSlave(unit, profile) for unit in range(1, slaves + 1)}
    for slave in units.values():
        slave.set_all(temperature=21.5, humidity=45.0)
    print(port.path, flush=True)
    pending = b""
    while True:
        ready, _, _ = select.select([port.fd, sys.stdin], [], [])
        if sys.stdin in ready:
            line = sys.stdin.readline()
            if not line:
                return
            dead.add(int(line))
            continue
        pending += os.read(port.fd, 4096)
        arrived = time.monotonic()
        while len(pending) >= REQUEST_BYTES:
            request = parse_request(pending[:REQUEST_BYTES])
            pending = pending[REQUEST_BYTES if request else 1 :]
            if request is None or request.unit in dead:
                continue
            reply = units[request.unit].reply(request)
            due = arrived + (REQUEST_BYTES + len(reply)) * character_s + delay_s
            time.sleep(max(0.0, due - time.monotonic()))
            os.write(port.fd, reply)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
