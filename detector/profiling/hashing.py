"""The most frequent values of a column, as keyed hashes: who has no key cannot tell a value by trying out guesses.

A value that an `in_set` check names is in the configuration for all to read, and is hashed without the key, so that the
check knows it; what is none of these is hashed with the key, or without one counted together.
"""

import hmac
from collections.abc import Iterable

from detector.core.text import value_hash

STRANGER = value_hash("\0none of the values that are declared")
SHORTEST = 16  # bytes of a key


class Hasher:
    """Hashes values with a key, which may be missing."""

    def __init__(self, key: bytes | None) -> None:
        """Raises `ValueError` for a key that could be guessed."""
        if key is not None and len(key) < SHORTEST:
            raise ValueError(f"the key has {len(key)} bytes: {SHORTEST} are the least (openssl rand -hex 32)")
        self._key = key

    @property
    def keyed(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def of(self, value: str) -> str:
        """What stands for a value: 16 hex digits of HMAC-SHA256. Needs a key."""
        assert self._key is not None
        return hmac.new(self._key, value.encode("utf-8", "surrogatepass"), "sha256").hexdigest()[:16]

    def top(
        self, counts: Iterable[tuple[str, float]], declared: frozenset[str] | None, most: int = 32
    ) -> dict[str, float]:
        """The counts of values by hash. `declared` are hashes of the values of an `in_set` check of the column."""
        found: dict[str, float] = {}
        for value, count in counts:
            name = self._name(value, declared)
            if name is not None:
                found[name] = found.get(name, 0.0) + count
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:most])

    def _name(self, value: str, declared: frozenset[str] | None) -> str | None:
        if declared is not None and (known := value_hash(value)) in declared:
            return known
        if self._key is not None:
            return self.of(value)
        return None if declared is None else STRANGER
