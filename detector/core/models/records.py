"""The bytes of the records of many series: what a series has not come to use takes next to none.

A series that comes once a day has no hours, a constant one no deviation, most have no flagged values, and those of one
entity have counted the same. So records are compared with one that has seen nothing, byte by byte, and the same byte of
all of them stands side by side: exponents next to exponents, zeros next to zeros, which any compression finds.
"""

import zlib

import numpy as np

from detector.core.models import kernel
from detector.core.models.kernel import HEAD, SEASONS, Array

_SIZE = HEAD.itemsize + SEASONS.itemsize
_LEVEL = (
    4  # of zlib: from here on the matching is lazy, which saves a tenth; the next ones take long for next to nothing
)


def _bytes(heads: Array, seasons: Array) -> Array:
    """The records of each series side by side: an array of series x bytes."""
    parts = (array.view(np.uint8).reshape(len(array), array.itemsize) for array in (heads, seasons))
    return np.concatenate(list(parts), axis=1)


_BLANK = _bytes(*kernel.blank(1))


def pack(heads: Array, seasons: Array) -> bytes:
    """The bytes of these records of `HEAD` and `SEASONS`, one of each a series; `unpack` needs to be told how many."""
    return zlib.compress((_bytes(heads, seasons) ^ _BLANK).T.tobytes(), _LEVEL)


def unpack(packed: bytes, count: int) -> tuple[Array, Array]:
    """The records of `count` series that `pack` wrote, bit for bit. Raises `ValueError` for anything else."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(packed, count * _SIZE + 1)
    except zlib.error as error:
        raise ValueError(f"not the records of {count} series") from error
    if len(found) != count * _SIZE or not inflater.eof or inflater.unused_data:
        raise ValueError(f"not the records of {count} series")
    cells = np.frombuffer(found, np.uint8).reshape(_SIZE, count).T ^ _BLANK
    heads = np.ascontiguousarray(cells[:, : HEAD.itemsize]).view(HEAD).reshape(count)
    seasons = np.ascontiguousarray(cells[:, HEAD.itemsize :]).view(SEASONS).reshape(count)
    return heads, seasons
