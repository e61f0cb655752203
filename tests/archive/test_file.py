"""A backup that can be read is what was written: all of it, and nothing else."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.archive.file import MAGIC, VERSION, Begin, Closing, End, Frame, Opening, States, Writer, read
from detector.errors import BackupRefused, SnapshotTooNew

OPENING = Opening(1_790_000_000.0, "1.0", "detector.observations", "id", 12)
entities = st.lists(st.tuples(st.text(max_size=20), st.floats(allow_nan=False), st.binary(max_size=200)), max_size=5)
parts = st.lists(st.tuples(st.binary(max_size=50), st.lists(entities, max_size=3)), max_size=4)
Parts = list[tuple[bytes, list[list[tuple[str, float, bytes]]]]]


def frames_of(found: Parts) -> Iterator[Frame]:
    yield OPENING
    for number, (head, pieces) in enumerate(found):
        states = [state for piece in pieces for _, _, state in piece]
        yield Begin(number, head, len(states))
        yield from (States(piece) for piece in pieces)
        yield End(len(states), sum(map(len, states)))


def write(path: Path, frames: list[Frame]) -> Closing:
    with Writer(path) as out:
        for frame in frames:
            out.add(frame)
        return out.close()


def written(path: Path, found: Parts | None = None) -> bytes:
    """The bytes of a file, of two partitions if nothing else is said."""
    some: Parts = [(b"head", [[("job:a/b", 5.0, b"state"), ("job:a/c", float("inf"), b"")]]), (b"other", [])]
    write(path, list(frames_of(some if found is None else found)))
    return path.read_bytes()


@given(parts)
def test_what_is_written_is_what_is_read(found: Parts) -> None:
    frames = list(frames_of(found))
    with TemporaryDirectory() as directory:
        path = Path(directory) / "states"
        closing = write(path, frames)

        assert list(read(path)) == [*frames, closing]
        assert closing.entities == sum(len(piece) for _, pieces in found for piece in pieces)


@given(parts, st.data())
def test_a_file_that_is_cut_off_anywhere_is_refused(found: Parts, data: st.DataObject) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "states"
        whole = written(path, found)
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])

        with pytest.raises(BackupRefused):
            list(read(path))


@given(parts, st.data())
def test_a_file_with_any_byte_changed_is_refused(found: Parts, data: st.DataObject) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "states"
        whole = bytearray(written(path, found))
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(whole)

        with pytest.raises((BackupRefused, SnapshotTooNew)):
            list(read(path))


@given(st.binary(max_size=300))
def test_any_other_file_is_refused(junk: bytes) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "states"
        path.write_bytes(junk)
        with pytest.raises(BackupRefused):
            list(read(path))
        path.write_bytes(MAGIC + bytes((VERSION,)) + junk)
        with pytest.raises(BackupRefused):
            list(read(path))


def test_a_file_of_a_later_release_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "states"
    whole = written(path)
    path.write_bytes(MAGIC + bytes((VERSION + 1,)) + whole[len(MAGIC) + 1 :])

    with pytest.raises(SnapshotTooNew, match="has format 2"):
        list(read(path))


def test_what_comes_after_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "states"
    path.write_bytes(written(path) + b"x")

    with pytest.raises(BackupRefused, match="goes on after its end"):
        list(read(path))


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([Begin(0, b"", 0), End(0, 0)], id="no log is named"),
        pytest.param([OPENING, Begin(0, b"", 0)], id="a partition without its end"),
        pytest.param([OPENING, Begin(0, b"", 2), States([("a", 1.0, b"x")]), End(1, 1)], id="an entity is missing"),
        pytest.param([OPENING, Begin(0, b"", 1), States([("a", 1.0, b"x")]), End(1, 2)], id="a size that is not right"),
        pytest.param([OPENING, States([])], id="states of no partition"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(frames: list[Frame], tmp_path: Path) -> None:
    write(tmp_path / "states", frames)

    with pytest.raises(BackupRefused, match="do not fit"):
        list(read(tmp_path / "states"))


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "states"
    before = written(path)

    with pytest.raises(BackupRefused, match="is there already"):
        written(path)
    assert path.read_bytes() == before


def test_a_backup_that_was_not_finished_has_no_name(tmp_path: Path) -> None:
    with Writer(tmp_path / "states") as out:
        out.add(OPENING)

    assert list(tmp_path.iterdir()) == []


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    written(tmp_path / "states")

    assert (tmp_path / "states").stat().st_mode & 0o077 == 0


def test_a_place_that_cannot_be_written_to_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="No such file or directory"):
        Writer(tmp_path / "nowhere" / "states")
