"""The delta-compressed sample blocks of Polar Measurement Data, both directions, vectorised.

A block is {bits a value, samples, packed values}: a value is a two's complement difference to the sample before it,
packed least significant bit first, the channels interleaved. Source: polar_pmd vectors in tests/vectors.
"""

import numpy as np
from numpy.typing import NDArray

CHANNELS = 3
REFERENCE_BYTES = 2 * CHANNELS
MAX_BITS = 32
BLOCK_SAMPLES = 16  # the encoder's; smaller blocks follow a quiet wrist with fewer bits

Samples = NDArray[np.int64]


def unpack(data: bytes) -> Samples | None:
    """Samples as int64, shape (n, 3), the reference sample first; None when the bytes are not whole blocks."""
    if len(data) < REFERENCE_BYTES:
        return None
    reference = np.frombuffer(data[:REFERENCE_BYTES], "<i2").astype(np.int64).reshape(1, CHANNELS)
    steps, at = [reference], REFERENCE_BYTES
    while at < len(data):
        block = data[at : at + 2]
        if len(block) < 2 or block[0] > MAX_BITS:
            return None
        bits, count = block
        size = (bits * count * CHANNELS + 7) // 8
        packed = data[at + 2 : at + 2 + size]
        if len(packed) < size:
            return None
        steps.append(_unpacked(packed, bits, count))
        at += 2 + size
    return np.cumsum(np.concatenate(steps), axis=0)


def pack(samples: NDArray[np.integer]) -> bytes:
    """Bytes of int16 samples, shape (n >= 1, 3)."""
    wide = samples.astype(np.int64)
    deltas = np.diff(wide, axis=0)
    blocks = [_packed(deltas[at : at + BLOCK_SAMPLES]) for at in range(0, len(deltas), BLOCK_SAMPLES)]
    reference: bytes = samples[0].astype("<i2").tobytes()
    return reference + b"".join(blocks)


def _unpacked(packed: bytes, bits: int, count: int) -> Samples:
    if bits == 0:
        return np.zeros((count, CHANNELS), np.int64)
    stream = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")[: bits * count * CHANNELS]
    values = stream.reshape(-1, bits).astype(np.int64) @ (1 << np.arange(bits, dtype=np.int64))
    values -= (values >> (bits - 1)) << bits  # sign bit
    return values.reshape(count, CHANNELS)


def _packed(deltas: Samples) -> bytes:
    widest = int(np.max(np.where(deltas < 0, ~deltas, deltas)))
    bits = widest.bit_length() + 1
    stream = (deltas.reshape(-1, 1) >> np.arange(bits)) & 1
    return bytes([bits, len(deltas)]) + np.packbits(stream.astype(np.uint8).ravel(), bitorder="little").tobytes()
