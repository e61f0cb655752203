"""Which partition of the log an entity lives in: Java's murmur2, as every Kafka producer with `murmur2_random` does."""

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """The 32-bit hash of Kafka's default partitioner.

    Source: A. Appleby, MurmurHash2, in the form of `org.apache.kafka.common.utils.Utils#murmur2`.
    """
    length = len(key)
    h = (_SEED ^ length) & _MASK
    whole = length & ~3
    for i in range(0, whole, 4):
        k = (int.from_bytes(key[i : i + 4], "little") * _M) & _MASK
        k = ((k ^ (k >> 24)) * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    if whole < length:
        h = ((h ^ int.from_bytes(key[whole:], "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


def partition_of(key: str, count: int) -> int:
    """The partition, of `count`, in which a record with this key belongs."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % count
