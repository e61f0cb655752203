"""The bytes of an entity: all of it comes back, equal states have equal bytes, and what is corrupt is not believed."""

from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.breaker import Breaker, Held, Outcome, Override, Probe, State
from detector.core.incidents import Board, Incident, Past
from detector.core.lineage import Lineage
from detector.core.messages import Redo
from detector.core.models.baseline import Baseline
from detector.core.recovery import Collected
from detector.core.schedule import Schedule
from detector.core.state import FORMAT, Entity, Episode, Good, Judgement, Run, Runs, dump, load
from detector.core.table import SeriesTable, Stored
from detector.errors import SnapshotTooNew
from tests.core.test_emissions import busy
from tests.core.world import JOB
from tests.strategies import examples

text, number, small = st.text(max_size=5), st.floats(allow_nan=False), st.integers(0, 2**31)
maybe = st.none() | number
datasets = st.dictionaries(st.integers(0, 2**63 - 1), st.tuples(maybe, maybe), max_size=3)
numbers = st.dictionaries(text, number, max_size=3)
hashes = st.dictionaries(st.integers(0, 2**63 - 1), number, max_size=3)
runs = st.builds(
    Run,
    text,
    st.integers(0, 2**63 - 1),
    number,
    started=maybe,
    ended=maybe,
    state=st.sampled_from(["OTHER", "RUNNING", "COMPLETE"]),
    inputs=datasets,
    outputs=datasets,
    metrics=numbers,
    error=st.none() | text,
    streaming=st.booleans(),
    settle_at=maybe,
    assertions=st.dictionaries(text, st.booleans(), max_size=3),
    judged=st.lists(text, max_size=3),
    severity=st.integers(0, 2),
    scheduled=maybe,
)
holds = st.builds(Held, small, st.booleans(), st.lists(text, max_size=2).map(tuple), number, number, number, text)
redos = st.builds(Redo, why=st.sampled_from(["bad", "failed"]), run_id=st.none() | text, nominal_time=maybe)
past = st.builds(
    Past, id=text, root=text, checks=st.lists(text, max_size=2), title=text, opened=number, resolved=number
)
incidents = st.dictionaries(
    text, st.builds(Incident, id=text, version=small, title=text, root=text, opened=number, updated=number), max_size=2
)


def tabled(values: dict[str, list[float]], models: dict[str, bytes], last: dict[str, list[float]]) -> SeriesTable:
    """Series of the baseline that have seen these values, and series that a model has left such bytes of."""
    table = SeriesTable()
    for name, seen in values.items():
        for day, x in enumerate(seen):
            model = table.baseline(name, Baseline())
            model.judge_one(86_400.0 * day, x)
    stored = table.store()
    others = {name: left for name, left in models.items() if name not in values}
    return SeriesTable.of(Stored(stored.names, stored.rows, others, last))


entities = st.builds(
    Entity,
    text,
    small,
    number,
    st.builds(
        Judgement,
        st.builds(Breaker, st.sampled_from(State), number, maybe, small, text, st.none() | text, small, st.booleans()),
        st.lists(st.builds(Outcome, small, st.integers(0, 2), number), max_size=3),
        st.dictionaries(text, st.builds(Episode, text, number, st.integers(0, 2), small, st.none() | text), max_size=3),
        small,
        text,
        st.dictionaries(text, holds, max_size=2),
        st.none() | st.builds(Override, st.just("force_open"), text, text, number, number),
        st.none() | st.builds(Probe, text, number),
        st.lists(small, max_size=3),
    ),
    st.builds(
        Runs,
        open=st.dictionaries(text, runs, max_size=2),
        closed=st.dictionaries(text, runs, max_size=2),
        ended=hashes,
        horizon=number,
        schedule=st.builds(Schedule, st.lists(number, max_size=3), st.lists(number, max_size=3), maybe, maybe),
        good=st.none() | st.builds(Good, text, number, st.none() | text),
        streaming=st.booleans(),
        profiled=hashes,
        failing=numbers,
    ),
    st.builds(
        tabled,
        st.dictionaries(text, st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=9), max_size=9),
        st.dictionaries(text, st.binary(max_size=21), max_size=3),
        st.dictionaries(text, st.lists(number, max_size=3), max_size=3),
    ),
    lineage=st.builds(Lineage, numbers, numbers, st.none() | text, told=st.lists(number, max_size=3)),
    recovery=st.dictionaries(text, st.builds(Collected, number, st.lists(redos, max_size=2)), max_size=2),
    board=st.none() | st.builds(Board, incidents, waits=numbers, past=st.lists(past, max_size=2)),
)


@given(entities)
def test_what_is_written_comes_back_whole(entity: Entity) -> None:
    snapshot = dump(entity)

    assert load(snapshot) == entity
    assert dump(load(snapshot)) == snapshot


def test_the_first_byte_is_the_format() -> None:
    assert dump(Entity("job:a/b"))[0] == FORMAT


def test_a_newer_format_is_refused_and_not_guessed_at() -> None:
    with pytest.raises(SnapshotTooNew, match=f"format {FORMAT + 1}"):
        load(bytes((FORMAT + 1,)) + dump(Entity("job:a/b"))[1:])


def written(sections: list[tuple[str, int, object]]) -> bytes:
    """A snapshot of this format with these sections."""
    body = msgspec.msgpack.encode(sections)
    return bytes((FORMAT,)) + crc32(body).to_bytes(4, "little") + body


def sections(**changed: int) -> list[tuple[str, int, object]]:
    """All sections of an empty entity; `changed` gives other versions."""
    found = msgspec.msgpack.decode(dump(Entity("job:a/b"))[5:])
    return [(name, changed.get(name, version), body) for name, version, body in found]


@pytest.mark.parametrize("name", ["head", "breaker", "runs", "series"])
def test_a_newer_section_is_refused(name: str) -> None:
    with pytest.raises(SnapshotTooNew, match=f"section '{name}' in version 2; known: 1"):
        load(written(sections(**{name: 2})))


def test_a_section_that_only_a_newer_release_knows_is_refused() -> None:
    with pytest.raises(SnapshotTooNew, match="section 'profiles'"):
        load(written([*sections(), ("profiles", 1, [])]))


def test_the_order_of_the_sections_does_not_matter() -> None:
    assert load(written(sections()[::-1])) == Entity("job:a/b")


@pytest.mark.parametrize("snapshot", [b"", b"\0", b"\1", b"\1abcd", b"\1abcdefgh", bytes(100)])
def test_what_is_no_snapshot_is_an_error_of_value(snapshot: bytes) -> None:
    with pytest.raises(ValueError):
        load(snapshot)


def test_a_missing_section_is_corrupt() -> None:
    with pytest.raises(ValueError, match="a section is missing"):
        load(written(sections()[1:]))


SNAPSHOT = dump(busy().entities["job:ns/a"])


@given(st.integers(1, len(SNAPSHOT) - 1), st.integers(1, 255))
@examples(5)
def test_a_snapshot_with_any_byte_changed_is_known_to_be_corrupt(position: int, flip: int) -> None:
    corrupt = bytearray(SNAPSHOT)
    corrupt[position] ^= flip

    with pytest.raises(ValueError):
        load(bytes(corrupt))


@given(st.integers(0, len(SNAPSHOT) - 1))
def test_a_snapshot_that_was_cut_off_is_known_to_be_corrupt(length: int) -> None:
    with pytest.raises(ValueError):
        load(SNAPSHOT[:length])


@given(st.binary(max_size=60))
@examples(5)
def test_bytes_with_a_good_checksum_that_are_no_state_are_an_error_of_value_or_too_new(body: bytes) -> None:
    with pytest.raises((ValueError, SnapshotTooNew)):
        load(bytes((FORMAT,)) + crc32(body).to_bytes(4, "little") + body)


def test_a_model_in_use_is_in_the_bytes() -> None:
    world = busy()
    entity = world.entities[JOB.replace("load", "a")]

    found = load(dump(entity)).series
    assert found == entity.series
    assert all(found.baseline(metric, Baseline()).samples > 0 for metric in found)


def test_the_state_of_a_job_with_full_rings_is_some_kilobytes() -> None:
    assert len(SNAPSHOT) < 4_000
