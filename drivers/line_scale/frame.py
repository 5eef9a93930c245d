"""Lines of a scale: the columns are the profile's; here they are only compiled, and printed for peers."""

from pathlib import Path

from drivers.profile import models_in
from drivers.profile_line import LineDecoder, LineStream
from drivers.profile_message import Decoded
from drivers.profile_models import load_model
from drivers.profile_schema import Line, Profile
from gateway.core.errors import ConfigError, Fault

HERE = Path(__file__).parent
MODELS = models_in(HERE)


def load_line(path: Path) -> tuple[Profile, Line]:
    """The profile in `path`, checked. ConfigError with every fault, or when it describes no lines."""
    profile = load_model(path)
    if profile.line is None:
        raise ConfigError(path.name, (Fault(0, "line", "a scale of this family needs a [line]", "add the section"),))
    return profile, profile.line


def decode(line: Line, data: bytes) -> Decoded:
    """One line, with or without its end. ProtocolError."""
    return LineDecoder(line).decode(LineStream.only_line(line, data))


def encode(kilograms: float, *, settled: bool = True) -> bytes:
    """What an A&D column prints."""
    return f"{'ST' if settled else 'US'},GS,{kilograms:+07.1f}kg\r\n".encode("ascii")
