"""The delta-compressed sample blocks of Polar Measurement Data, both directions, vectorised.

First stands the reference sample, little-endian in whole bytes; then blocks, each {bits a value, samples, packed
values}: a value is a two's complement difference to the sample before it,
packed least significant bit first, the channels interleaved. Source: polar_pmd vectors in tests/vectors.
"""

import numpy as np
from numpy.typing import NDArray

MAX_BITS = 32
BLOCK_SAMPLES = 16  # the encoder's; smaller blocks follow a quiet wrist with fewer bits

Samples = NDArray[np.int64]


def unpack(data: bytes, channels: int = 3, size: int = 2) -> Samples | None:
    """Samples as int64, shape (n, channels), the reference sample first, whose values have `size` bytes, 1 to 4; None
    when the bytes are not whole blocks."""
    at = channels * size
    if len(data) < at:
        return None
    steps = [signed(data[:at], size).astype(np.int64).reshape(1, channels)]
    while at < len(data):
        block = data[at : at + 2]
        if len(block) < 2 or block[0] > MAX_BITS:
            return None
        bits, count = block
        size = (bits * count * channels + 7) // 8
        packed = data[at + 2 : at + 2 + size]
        if len(packed) < size:
            return None
        steps.append(_unpacked(packed, bits, count, channels))
        at += 2 + size
    return np.cumsum(np.concatenate(steps), axis=0)


def pack(samples: NDArray[np.integer], size: int = 2) -> bytes:
    """Bytes of samples, shape (n >= 1, channels), whose values fit into `size` bytes."""
    wide = samples.astype(np.int64)
    deltas = np.diff(wide, axis=0)
    blocks = [_packed(deltas[at : at + BLOCK_SAMPLES]) for at in range(0, len(deltas), BLOCK_SAMPLES)]
    return raw(samples[:1], size) + b"".join(blocks)


def raw(samples: NDArray[np.integer], size: int) -> bytes:
    """Bytes of samples, the lowest `size` bytes of each value, channels interleaved."""
    wide = np.ascontiguousarray(samples, dtype="<i4").view(np.uint8)
    return wide.reshape(-1, 4)[:, :size].tobytes()


def signed(data: bytes, size: int) -> NDArray[np.int32]:
    """Little-endian two's complement values of `size` bytes, 1 to 4."""
    if size == 2:  # what every band sends today of its acceleration
        return np.frombuffer(data, "<i2").astype(np.int32)
    values = np.frombuffer(data, np.uint8).reshape(-1, size)
    wide = np.zeros((len(values), 4), np.uint8)
    wide[:, 4 - size :] = values
    return wide.view("<i4").ravel() >> 8 * (4 - size)


def _unpacked(packed: bytes, bits: int, count: int, channels: int) -> Samples:
    if bits == 0:
        return np.zeros((count, channels), np.int64)
    stream = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")[: bits * count * channels]
    values = stream.reshape(-1, bits).astype(np.int64) @ (1 << np.arange(bits, dtype=np.int64))
    values -= (values >> (bits - 1)) << bits  # sign bit
    return values.reshape(count, channels)


def _packed(deltas: Samples) -> bytes:
    widest = int(np.max(np.where(deltas < 0, ~deltas, deltas)))
    bits = widest.bit_length() + 1
    stream = (deltas.reshape(-1, 1) >> np.arange(bits)) & 1
    return bytes([bits, len(deltas)]) + np.packbits(stream.astype(np.uint8).ravel(), bitorder="little").tobytes()
