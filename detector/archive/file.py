"""The file of a backup: what it begins with, its frames, and how it is known to be whole.

    magic, version | frame | frame | ...          a frame: length, checksum, one MessagePack object

    Opening   which log: its name, its id, its partitions; who wrote the file, and when
    Begin     a partition: the head of its snapshot as Redis has it, with S, the offset that its states are true for
    States    some of its entities: key, when it is due, the bytes of its state
    End       how many these were
    Closing   how much it all is, and a digest of everything before

A file is read and written as a stream, a few megabytes at a time. One without its `Closing` was not finished.
"""

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import BinaryIO, Self
from zlib import crc32

import msgspec

from detector.errors import BackupRefused, SnapshotTooNew

MAGIC = b"detector state\n"
VERSION = 1
LONGEST = 256 << 20  # bytes of a frame: what says to be longer is no length
_FRAME = Struct("<II")


class Opening(msgspec.Struct, frozen=True, array_like=True, tag="opening"):
    """Which log the states are of, who wrote them down, and when (seconds since 1970)."""

    written_at: float
    release: str
    log: str
    topic_id: str
    partitions: int


class Begin(msgspec.Struct, frozen=True, array_like=True, tag="begin"):
    """A partition, and the head of its snapshot as it stands in Redis."""

    partition: int
    head: bytes
    entities: int


class States(msgspec.Struct, frozen=True, array_like=True, tag="states"):
    """Some entities of the partition: key, when it next wants the time, and the bytes of its state."""

    entities: list[tuple[str, float, bytes]]


class End(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    """All of a partition was written: so many entities, with so many bytes of state."""

    entities: int
    size: int


class Closing(msgspec.Struct, frozen=True, array_like=True, tag="closing"):
    """All of the file was written. `digest` is of everything before this frame."""

    partitions: int
    entities: int
    size: int
    digest: bytes


Frame = Opening | Begin | States | End | Closing
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


class Writer:
    """Writes a file that is there under its name only when it is whole. Raises `BackupRefused` if there is one already.

    As a context manager: what is not finished by `close` is deleted.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._partial = path, path.with_name(path.name + ".partial")
        self._refuse()
        try:
            # Names of entities and what is known of them are nobody else's business.
            handle = os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise BackupRefused(f"{path} cannot be written: {error.strerror}") from None
        self._out = os.fdopen(handle, "wb")
        self._digest = blake2b(digest_size=16)
        self._done = [0, 0, 0]
        self._write(MAGIC + bytes((VERSION,)))

    def add(self, frame: Frame) -> None:
        """Append a frame."""
        body = _encoder.encode(frame)
        self._write(_FRAME.pack(len(body), crc32(body)) + body)
        if isinstance(frame, End):
            self._done = [self._done[0] + 1, self._done[1] + frame.entities, self._done[2] + frame.size]

    def close(self) -> Closing:
        """Say that this is all, and let it have its name."""
        partitions, entities, size = self._done
        closing = Closing(partitions, entities, size, self._digest.digest())
        self.add(closing)
        self._out.flush()
        os.fsync(self._out.fileno())
        self._out.close()
        self._refuse()
        self._partial.rename(self._path)
        return closing

    def _refuse(self) -> None:
        if self._path.exists():
            raise BackupRefused(f"{self._path} is there already: name another file, or move it away")

    def _write(self, data: bytes) -> None:
        try:
            self._out.write(data)
        except OSError as error:
            raise BackupRefused(f"{self._path} cannot be written: {error.strerror}") from None
        self._digest.update(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._out.close()
        self._partial.unlink(missing_ok=True)


def read(path: Path) -> Iterator[Frame]:
    """The frames of a file, in their order: `Opening` first, `Closing` last.

    Raises `BackupRefused` where it is none, is damaged, or ends too early, and `SnapshotTooNew` for the format of a
    later release. What came before is right as far as it goes: who must have all of it reads to the end first.
    """
    try:
        with path.open("rb") as source:
            yield from _frames(path, source)
    except OSError as error:
        raise BackupRefused(f"{path} cannot be read: {error.strerror}") from None


def _frames(path: Path, source: BinaryIO) -> Iterator[Frame]:
    start = source.read(len(MAGIC) + 1)
    if start[:-1] != MAGIC:
        raise BackupRefused(f"{path} is no backup of states")
    if start[-1] > VERSION:
        raise SnapshotTooNew(f"{path} has format {start[-1]}; this release knows formats up to {VERSION}")
    digest = blake2b(start, digest_size=16)
    order = _Order(path)
    while not order.closed:
        at, before = source.tell(), digest.digest()
        head = source.read(_FRAME.size)
        if len(head) < _FRAME.size:
            raise BackupRefused(f"{path} ends at byte {at}, too early: its writing was not finished, or it was cut off")
        length, checksum = _FRAME.unpack(head)
        body = source.read(length) if length <= LONGEST else b""
        if len(body) < length <= LONGEST:
            raise BackupRefused(f"{path} ends within the frame at byte {at}: it was cut off")
        if length > LONGEST or crc32(body) != checksum:
            raise BackupRefused(f"{path} is damaged at byte {at}: the checksum does not fit")
        digest.update(head + body)
        yield order.follow(_decode(path, at, body), before)
    if source.read(1):
        raise BackupRefused(f"{path} goes on after its end")


def _decode(path: Path, at: int, body: bytes) -> Frame:
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise BackupRefused(f"{path} cannot be read at byte {at}: {error}") from None


_AFTER: dict[type[Frame] | None, tuple[type[Frame], ...]] = {
    None: (Opening,),
    Opening: (Begin, Closing),
    Begin: (States, End),
    States: (States, End),
    End: (Begin, Closing),
}


class _Order:
    """Which frame may follow which, and whether the numbers add up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._here = [0, 0]
        self._all = [0, 0, 0]
        self._last: type[Frame] | None = None
        self._entities = 0

    @property
    def closed(self) -> bool:
        """Whether the last frame was the last."""
        return self._last is Closing

    def follow(self, frame: Frame, digest: bytes) -> Frame:
        """This frame, if it may come here. `digest` is of all that came before it. Raises `BackupRefused`."""
        right = type(frame) in _AFTER[self._last] and self._adds_up(frame, digest)
        if not right:
            raise BackupRefused(f"{self._path} is damaged: its parts do not fit each other")
        self._last = type(frame)
        return frame

    def _adds_up(self, frame: Frame, digest: bytes) -> bool:
        match frame:
            case Begin():
                self._here, self._entities = [0, 0], frame.entities
            case States():
                self._here[0] += len(frame.entities)
                self._here[1] += sum(len(state) for _, _, state in frame.entities)
            case End():
                self._all = [self._all[0] + 1, self._all[1] + frame.entities, self._all[2] + frame.size]
                return self._here == [frame.entities, frame.size] and frame.entities == self._entities
            case Closing():
                return [frame.partitions, frame.entities, frame.size] == self._all and frame.digest == digest
        return True
