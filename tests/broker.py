"""The demonstration's mosquitto for tests that need more of it: passwords, TLS, sessions kept, a kill, a restart."""

import asyncio
import subprocess
import tempfile
from pathlib import Path

from gateway.core.errors import LinkError
from gateway.demo.broker import find_mosquitto, free_port

START_S = 10.0


def mosquitto_path() -> str | None:
    """The broker's binary, None where it is not installed."""
    try:
        return find_mosquitto()
    except LinkError:
        return None


class Broker:
    """`await start()`, `port`, `await stop()`; `restart()` keeps the port and, with `persistent`, the sessions.

    lines: further lines of mosquitto.conf. passwords: user name to password; anybody may come in when it is empty.
    """

    def __init__(
        self,
        *,
        lines: tuple[str, ...] = (),
        passwords: dict[str, str] | None = None,
        persistent: bool = False,
        listener: tuple[str, ...] = (),
    ) -> None:
        self.port = free_port()
        self._directory = tempfile.TemporaryDirectory(prefix="carebed-broker-")
        self.directory = Path(self._directory.name)
        self._lines = lines
        self._listener = listener
        self._passwords = passwords or {}
        self._persistent = persistent
        self._process: subprocess.Popen[bytes] | None = None

    def _configuration(self) -> str:
        lines = [
            "per_listener_settings false",
            f"listener {self.port} 127.0.0.1",
            *self._listener,
            "set_tcp_nodelay true",
            f"allow_anonymous {'false' if self._passwords else 'true'}",
            f"persistence {'true' if self._persistent else 'false'}",
            f"persistence_location {self.directory}/",
            "autosave_interval 1",
            *self._lines,
        ]
        if self._passwords:
            lines.append(f"password_file {self._password_file()}")
        return "\n".join(lines) + "\n"

    def _password_file(self) -> Path:
        """mosquitto_passwd is in the same Debian package as the broker."""
        path = self.directory / "passwords"
        path.touch(mode=0o600)
        for name, password in self._passwords.items():
            subprocess.run(["mosquitto_passwd", "-b", str(path), name, password], check=True, capture_output=True)
        return path

    async def start(self) -> "Broker":
        """Return once the port answers. RuntimeError with the broker's own words when it does not."""
        binary = mosquitto_path()
        if binary is None:
            raise RuntimeError("mosquitto is not installed")
        configuration = self.directory / "mosquitto.conf"
        configuration.write_text(self._configuration())
        configuration.chmod(0o600)
        log = (self.directory / "mosquitto.log").open("ab")
        # As root mosquitto changes to the user of its configuration: it must stay able to read the directory.
        command = [binary, "-c", str(configuration)]
        if Path("/proc/self").stat().st_uid == 0:
            configuration.write_text(self._configuration() + "user root\n")
        self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        log.close()
        await self._answering()
        return self

    async def _answering(self) -> None:
        async with asyncio.timeout(START_S):
            while True:
                assert self._process is not None
                if self._process.poll() is not None:
                    raise RuntimeError(f"mosquitto ended: {(self.directory / 'mosquitto.log').read_text()}")
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                return

    async def kill(self) -> None:
        """End the broker as a power cut does; `start` brings it back on the same port."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def stop(self) -> None:
        """End the broker and remove its directory."""
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait)
            self._process = None
        self._directory.cleanup()
