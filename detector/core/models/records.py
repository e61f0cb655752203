"""The bytes of the records of many series: what a series has not come to use is not in them.

A series that comes once a day has no hours, a constant one no deviation, and most have no flagged values. So a record
is taken as words of four bytes, compared with a record that has seen nothing; one bit a word says whether it differs,
and only those that do are written.
"""

import numpy as np

from detector.core.models import kernel
from detector.core.models.kernel import HEAD, SEASONS, Array

_SIZE = HEAD.itemsize + SEASONS.itemsize
_WORDS = -(-_SIZE // 4)


def _words(heads: Array, seasons: Array) -> Array:
    """The records of each series side by side: an array of series x words."""
    found = np.zeros((len(heads), 4 * _WORDS), np.uint8)
    found[:, : HEAD.itemsize] = heads.view(np.uint8).reshape(-1, HEAD.itemsize)
    found[:, HEAD.itemsize : _SIZE] = seasons.view(np.uint8).reshape(-1, SEASONS.itemsize)
    return found.view("<u4")


_BLANK = _words(*kernel.blank(1))


def pack(heads: Array, seasons: Array) -> bytes:
    """The bytes of these records of `HEAD` and `SEASONS`, one of each a series; `unpack` needs to be told how many."""
    words = _words(heads, seasons) ^ _BLANK
    used = words != 0
    packed: bytes = np.packbits(used).tobytes() + words[used].tobytes()
    return packed


def unpack(packed: bytes, count: int) -> tuple[Array, Array]:
    """The records of `count` series that `pack` wrote, bit for bit. Raises `ValueError` for anything else."""
    bits = -(-count * _WORDS // 8)
    if len(packed) < bits or (len(packed) - bits) % 4:
        raise ValueError(f"not the records of {count} series")
    used = np.unpackbits(np.frombuffer(packed, np.uint8, bits), count=count * _WORDS).view(bool)
    found = np.frombuffer(packed, "<u4", offset=bits)
    if np.count_nonzero(used) != len(found):
        raise ValueError(f"not the records of {count} series")
    words = np.zeros(count * _WORDS, "<u4")
    words[used] = found
    cells = (words.reshape(count, _WORDS) ^ _BLANK).view(np.uint8)
    heads = np.ascontiguousarray(cells[:, : HEAD.itemsize]).view(HEAD).reshape(count)
    seasons = np.ascontiguousarray(cells[:, HEAD.itemsize : _SIZE]).view(SEASONS).reshape(count)
    return heads, seasons
