"""The kernels' twins in C (c_twins.c): compiled for this machine into a temporary directory, called and timed."""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gateway.core.errors import CarebedError

SOURCE = Path(__file__).with_name("c_twins.c")
COMPILER = "gcc"
OPTIONS = ("-O3", "-march=native", "-shared", "-fPIC")
Argument = object  # float, int, or a C-contiguous numpy array of float64 or int64


class Twins:
    """The compiled library. Arguments are those of the kernel of the same name, in the same order."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.fastest_ns.restype = ctypes.c_double

    def has(self, kernel: str) -> bool:
        """kernel: "module.name"."""
        return hasattr(self._library, _symbol(kernel))

    def call(self, kernel: str, arguments: Sequence[Argument]) -> float:
        """What the twin returns, 0 where the kernel returns nothing; arrays are written to as the kernel does."""
        twin = self._library[_symbol(kernel)]
        twin.restype = ctypes.c_double
        return float(twin(*_passed(arguments)))

    def fastest_s(self, kernel: str, arguments: Sequence[Argument], runs: int) -> float:
        """CPU seconds of the fastest of so many calls, measured within C: the way there is not counted."""
        twin = ctypes.cast(self._library[_symbol(kernel)], ctypes.c_void_p)
        sink = ctypes.c_double()
        nanoseconds = self._library.fastest_ns(
            twin, *_passed(arguments), ctypes.c_int64(runs), ctypes.byref(sink)
        )
        return float(nanoseconds) / 1e9


def _symbol(kernel: str) -> str:
    return f"twin_{kernel.replace('.', '_')}"


def _passed(arguments: Sequence[Argument]) -> tuple[object, object, object]:
    """Pointers of the arrays; shapes and whole numbers; real numbers."""
    pointers: list[int] = []
    whole: list[int] = []
    real: list[float] = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            if not argument.flags.c_contiguous or argument.dtype not in (np.float64, np.int64):
                raise TypeError(f"an array of {argument.dtype} that a twin cannot take")
            pointers.append(argument.ctypes.data)
            whole.extend(argument.shape)
        elif isinstance(argument, int):
            whole.append(argument)
        elif isinstance(argument, float):
            real.append(argument)
        else:
            raise TypeError(f"no twin takes {argument!r}")
    return (
        (ctypes.c_void_p * max(1, len(pointers)))(*pointers),
        (ctypes.c_int64 * max(1, len(whole)))(*whole),
        (ctypes.c_double * max(1, len(real)))(*real),
    )


def compiler() -> str | None:
    """The C compiler's path, None when there is none: the figures with C are then left out."""
    return shutil.which(COMPILER)


@contextmanager
def compiled() -> Iterator[Twins]:
    """The twins, for as long as the block lasts. CarebedError when they do not compile."""
    with tempfile.TemporaryDirectory(prefix="carebed-twins-") as directory:
        library = Path(directory) / "twins.so"
        made = subprocess.run(
            [COMPILER, *OPTIONS, "-o", str(library), str(SOURCE), "-lm"], capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise CarebedError(f"{COMPILER} fails on {SOURCE.name}", hint=made.stderr[-2000:])
        yield Twins(library)
