"""How a stop travels: hop by hop, by columns and other names, through cycles, for a time only."""

import pytest
from msgspec.structs import replace

from detector.core.commands import SetOverride
from detector.core.emissions import HoldChange
from detector.core.events import Assertion, Dataset, JobEvent, JobObserved, Observation, RunEvent
from detector.core.lineage import LEASE, MAX_HOLDS, RENEW, Triples
from detector.core.messages import Hold, Release
from detector.core.partition import partition_of
from detector.core.rules import Rules, Settings
from detector.core.turn import KEEP_SCOPE
from detector.view import Asked, decide
from tests.core.company import Company
from tests.core.world import DAY, HOUR, MINUTE, MONDAY

RAW, ORDERS, FACTS = "dataset:db/raw", "dataset:db/orders", "dataset:db/facts"
QUIET = Settings(late=None, hanging=None)


def company(rules: Rules | None = None) -> Company:
    return Company(MONDAY, rules=rules or Rules(QUIET))


def told(made: Company, job: str, inputs: str, outputs: str, good: bool = True, **facts: object) -> None:
    """A whole run of a job; names are separated by blanks, `facts` are of each output."""
    made.count = getattr(made, "count", 0) + 1  # type: ignore[attr-defined]
    of = {"rows": 100.0, "assertions": (Assertion("sane", good),), **facts}
    written = tuple(Dataset("db", name, **of) for name in outputs.split())  # type: ignore[arg-type]
    read = tuple(Dataset("db", name) for name in inputs.split())
    run_id = f"{job}-{made.count}"  # type: ignore[attr-defined]
    made.tell(RunEvent("ns", job, run_id, "START", made.now, inputs=read))
    made.tell(RunEvent("ns", job, run_id, "COMPLETE", made.now, inputs=read, outputs=written))


def chain(made: Company) -> None:
    """raw ─ clean ─▶ orders ─ join ─▶ facts, and a reader of each."""
    told(made, "load", "", "raw")
    told(made, "clean", "raw", "orders")
    told(made, "join", "orders", "facts")
    told(made, "report", "facts", "")
    told(made, "audit", "other", "log")
    made.settle()


def holds(made: Company) -> list[tuple[str, bool, list[str]]]:
    """Who was held (True) or released, by which path."""
    return [(d.entity, d.held, d.path) for e in made.said if isinstance(d := e.data, HoldChange)]


def test_all_below_a_bad_dataset_are_held_and_nobody_else() -> None:
    made = company()
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()

    assert made.held() == {"job:ns/clean", ORDERS, "job:ns/join", FACTS, "job:ns/report"}
    assert made.open() - made.held() == {RAW}
    path = next(path for entity, _, path in holds(made) if entity == "job:ns/report")
    assert path == [RAW, "job:ns/clean", ORDERS, "job:ns/join", FACTS, "job:ns/report"]


def test_the_one_who_wrote_it_is_not_held_and_mends_it() -> None:
    made = company()
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()
    told(made, "load", "", "raw")
    made.settle()

    assert made.open() == set()
    assert [held for _, held, _ in holds(made)] == [True] * 5 + [False] * 5


def test_who_begins_to_read_what_is_bad_is_held_at_once() -> None:
    made = company()
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()
    told(made, "new", "facts", "copy")
    made.settle()

    assert {"job:ns/new", "dataset:db/copy"} <= made.held()


def test_a_cycle_comes_to_an_end_and_is_released_whole() -> None:
    made = company()
    told(made, "a", "x", "y")
    told(made, "b", "y", "x")
    made.settle()
    told(made, "b", "y", "x", good=False)
    made.settle()

    assert made.held() == {"job:ns/a", "dataset:db/y"}  # b writes what is bad: it may mend it
    told(made, "b", "y", "x")
    made.settle()
    assert made.held() == set()


def test_many_paths_do_not_multiply_messages() -> None:
    made = company()
    for level in range(10):
        for job in range(3):
            inputs = " ".join(f"t{level}_{n}" for n in range(3))
            told(made, f"j{level}_{job}", inputs, f"t{level + 1}_{job}")
    made.settle()
    before = sum(len(shard.log) for shard in made.shards)
    told(made, "seed", "", "t0_0", good=False)
    made.settle()
    messages = sum(len(shard.log) for shard in made.shards) - before

    assert len(made.held()) == 60
    assert messages < 300  # 3 * 3 * 10 edges of jobs, as many of datasets, and as many words to the board


def test_a_hold_ends_by_itself_when_nobody_says_it_again() -> None:
    made = company()
    chain(made)
    hold = Hold("dataset:db/gone", 1, ("dataset:db/gone",), made.now, made.now + LEASE, "it was bad")
    made.put(ORDERS, hold, next(s.partition.number for s in made.shards if ORDERS in s.entities))
    made.settle()
    assert ORDERS in made.held()
    made.wait(LEASE + MINUTE)

    assert made.held() == set()


def test_a_hold_goes_on_for_as_long_as_its_root_is_bad() -> None:
    made = company(Rules(Settings(late=None, hanging=None, wait=7 * DAY, max_wait=8 * DAY)))
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.wait(2 * LEASE + RENEW)

    assert made.held() == {"job:ns/clean", ORDERS, "job:ns/join", FACTS, "job:ns/report"}
    assert sum(held for _, held, _ in holds(made)) == 5


def test_after_an_outage_nobody_is_released_before_the_root_has_spoken() -> None:
    made = company(Rules(Settings(late=None, hanging=None, wait=7 * DAY, max_wait=8 * DAY)))
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()
    made.tick(made.now + 3 * LEASE)
    made.settle()
    made.wait(HOUR)

    assert len(made.held()) == 5
    assert not [entity for entity, held, _ in holds(made) if not held]


def test_what_comes_late_by_a_longer_way_is_known_to_be_old() -> None:
    made = company()
    chain(made)
    number = next(s.partition.number for s in made.shards if ORDERS in s.entities)
    path, until = ("dataset:db/gone",), made.now + LEASE
    made.put(ORDERS, Release("dataset:db/gone", 2, path, until, "good again"), number)
    made.put(ORDERS, Hold("dataset:db/gone", 1, path, made.now, until, "it was bad"), number)
    made.settle()

    assert made.held() == set()


def test_a_job_that_reads_it_no_more_is_let_go_and_held_no_more() -> None:
    made = company(Rules(Settings(late=None, hanging=None, wait=7 * DAY, max_wait=8 * DAY)))
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()
    for _ in range(4):
        made.wait(MINUTE)
        told(made, "clean", "elsewhere", "orders")
    made.settle()
    assert "job:ns/clean" not in made.held()
    made.wait(LEASE + MINUTE)

    assert made.held() == set()


def test_a_job_that_is_held_by_two_ways_is_let_go_when_it_reads_neither() -> None:
    made = company(Rules(Settings(late=None, hanging=None, wait=7 * DAY, max_wait=8 * DAY)))
    told(made, "split", "raw", "left right")
    told(made, "join", "left right", "facts")
    made.settle()
    told(made, "load", "", "raw", good=False)
    made.settle()
    for inputs, held in (("left", True), ("elsewhere", False)):
        for _ in range(4):
            made.wait(MINUTE)
            told(made, "join", inputs, "facts")
        made.settle()

        assert ("job:ns/join" in made.held()) is held


def test_a_neighbour_that_was_not_heard_of_for_long_is_one_no_more() -> None:
    made = company()
    chain(made)
    told(made, "once", "raw", "copy")
    made.settle()
    for _ in range(40):
        made.wait(DAY, every=HOUR)
        for job, inputs, outputs in (("load", "", "raw"), ("clean", "raw", "orders"), ("join", "orders", "facts")):
            told(made, job, inputs, outputs)
        made.settle()

    assert made.breakers()[RAW].down == ["job:ns/clean"]


def test_a_dataset_that_is_known_by_two_names_is_bad_by_both() -> None:
    made = company()
    told(made, "load", "", "raw", aliases=("dataset:hive/raw",))
    made.tell(RunEvent("ns", "spark", "s1", "COMPLETE", made.now, inputs=(Dataset("hive", "raw"),)))
    made.settle()
    told(made, "load", "", "raw", good=False)
    made.settle()

    assert {"dataset:hive/raw", "job:ns/spark"} <= made.held()


def test_a_job_told_by_itself_has_neighbours_too() -> None:
    made = company()
    made.tell(JobEvent("ns", "declared", made.now, (Dataset("db", "raw"),), (Dataset("db", "made"),)))
    told(made, "load", "", "raw")
    told(made, "declared", "raw", "made")
    made.settle()
    told(made, "load", "", "raw", good=False)
    made.settle()

    assert {"job:ns/declared", "dataset:db/made"} <= made.held()


# ---------------------------------------------------------------- columns


def in_columns(made: Company, scope: tuple[str, ...]) -> None:
    """`slim` makes orders.id of raw.id and orders.net of raw.amount; `wide` says nothing of columns."""
    of = (("id", RAW, "id"), ("net", RAW, "amount"))
    told(made, "slim", "raw", "orders", columns_from=of)
    told(made, "wide", "raw", "copy")
    told(made, "by_id", "orders", "ids", columns_from=(("id", ORDERS, "id"),))
    told(made, "by_net", "orders", "sums", columns_from=(("total", ORDERS, "net"),))
    told(made, "filter", "orders", "few", columns_from=(("*", ORDERS, "net"), ("id", ORDERS, "id")))
    made.settle()
    number = next(s.partition.number for s in made.shards if RAW in s.entities)
    hold = Hold("dataset:db/up", 1, ("dataset:db/up",), made.now, made.now + LEASE, "a column is bad", scope)
    made.put(RAW, hold, number)
    made.settle()


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        pytest.param(
            ("column:amount",),
            {"slim", "orders", "wide", "copy", "by_net", "sums", "filter", "few"},
            id="who reads the column, what is made of it, and who does not say",
        ),
        pytest.param(
            ("column:id",), {"slim", "orders", "wide", "copy", "by_id", "ids", "filter", "few"}, id="another column"
        ),
        pytest.param(("column:unused",), {"wide", "copy"}, id="nothing is made of it"),
        pytest.param(
            (),
            {"slim", "orders", "wide", "copy", "by_id", "ids", "by_net", "sums", "filter", "few"},
            id="all of it",
        ),
        pytest.param(
            ("partition:2026-01-19",),
            {"slim", "orders", "wide", "copy", "by_id", "ids", "by_net", "sums", "filter", "few"},
            id="of a partition nobody knows who reads it",
        ),
    ],
)
def test_only_who_reads_a_bad_column_is_held(scope: tuple[str, ...], held: set[str]) -> None:
    made = company()
    in_columns(made, scope)

    assert {key.partition("/")[2] for key in made.held()} - {"raw"} == held


# ---------------------------------------------------------------- modes and people


def test_a_breaker_in_shadow_holds_nobody() -> None:
    made = company(Rules(QUIET, overrides=((RAW, {"mode": "shadow"}),)))
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()

    assert made.breakers()[RAW].state == "open"
    assert made.held() == set()


def test_a_job_in_shadow_is_told_so_and_what_it_writes_is_held() -> None:
    made = company(Rules(QUIET, overrides=(("job:ns/clean", {"mode": "shadow"}),)))
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()

    assert made.breakers()["job:ns/clean"].mode == "shadow"
    assert {ORDERS, "job:ns/join"} <= made.held()


def test_a_person_lets_all_go_on_and_when_that_is_over_they_are_held_again() -> None:
    made = company(Rules(Settings(late=None, hanging=None, wait=7 * DAY, max_wait=8 * DAY)))
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()
    made.command(SetOverride(id="1", by="alice", entity=RAW, state="force_closed", until=made.now + HOUR))
    made.settle()
    assert made.open() == set()
    made.wait(HOUR + MINUTE)

    assert made.open() == {RAW, "job:ns/clean", ORDERS, "job:ns/join", FACTS, "job:ns/report"}


def test_a_person_stops_what_nothing_was_found_in() -> None:
    made = company()
    chain(made)
    made.command(
        SetOverride(id="1", by="bob", comment="migration", entity=ORDERS, state="force_open", until=made.now + HOUR)
    )
    made.settle()

    assert made.open() == {ORDERS, "job:ns/join", FACTS, "job:ns/report"}
    assert made.breakers()[ORDERS].reason == "bob has said so: migration"
    assert made.incidents("opened") == []


def test_what_a_job_does_while_it_is_held_says_nothing_of_itself() -> None:
    made = company()
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()
    made.tell(RunEvent("ns", "clean", "refused", "FAIL", made.now, inputs=(Dataset("db", "raw"),)))
    made.settle()
    told(made, "load", "", "raw")
    made.settle()

    assert made.open() == set()


def test_of_a_load_of_several_partitions_each_is_bad_for_who_reads_it() -> None:
    made = company()
    chain(made)
    told(made, "load", "", "raw", good=False, subset=("day=1", "day=2"))
    made.settle()
    value = made.breakers()[RAW]

    assert value.scope == ["partition:day=1", "partition:day=2"]
    verdicts = [decide(RAW, value, made.now, made.now, asked=Asked(partitions=(f"day={n}",))).verdict for n in (1, 3)]
    assert verdicts == ["block", "allow"]


def test_where_very_many_partitions_are_bad_all_of_it_is() -> None:
    made = company()
    chain(made)
    told(made, "load", "", "raw", good=False, subset=tuple(f"day={n}" for n in range(KEEP_SCOPE + 1)))
    made.settle()

    assert made.breakers()[RAW].scope == []


# ---------------------------------------------------------------- told to one job by hand

JOIN, ROOT = "job:ns/join", "dataset:db/root"


def hold_of(made: Company, root: str, via: str, *columns: str) -> Hold:
    scope = tuple(f"column:{name}" for name in columns)
    return Hold(root, 5, (root, f"dataset:db/{via}"), made.now, made.now + LEASE, "bad", scope)


def hear(made: Company, job: str, *messages: Observation) -> None:
    for message in messages:
        made.put(job, message, partition_of(job, len(made.shards)))
    made.settle()


def test_a_column_that_is_bad_by_two_ways_is_bad_in_all_that_is_made_of_it_by_either() -> None:
    made = company()
    columns: dict[str, Triples] = {f"dataset:db/of_{name}": (("id", f"dataset:db/{name}", "id"),) for name in "ab"}
    inputs, outputs = ("dataset:db/a", "dataset:db/b"), tuple(columns)
    hear(made, JOIN, JobObserved(made.now, inputs, outputs, None, columns))
    hear(made, JOIN, hold_of(made, ROOT, "a", "id"), hold_of(made, ROOT, "b", "id"))

    assert {"dataset:db/of_a", "dataset:db/of_b"} <= made.held()


def test_who_is_held_by_other_columns_of_two_inputs_is_held_as_long_as_it_reads_one_of_them() -> None:
    made = company()
    for _ in range(3):
        told(made, "join", "a b", "facts")
        made.wait(MINUTE)
    hear(made, JOIN, hold_of(made, ROOT, "a", "x"), hold_of(made, ROOT, "b", "y"))
    for _ in range(3):
        told(made, "join", "a", "facts")
        made.wait(MINUTE)

    assert JOIN in made.held()


def test_who_was_held_by_very_many_is_held_by_the_next_one_all_the_same() -> None:
    made = company()
    for n in range(MAX_HOLDS):
        root = f"dataset:db/{n}"
        hear(made, JOIN, hold_of(made, root, "a"), Release(root, 6, (root,), made.now + LEASE, "good again"))
    hear(made, JOIN, hold_of(made, ROOT, "a"))

    assert JOIN in made.held()


def test_who_reads_nothing_of_what_is_still_bad_is_let_go() -> None:
    made = company()
    columns: dict[str, Triples] = {"dataset:db/facts": (("x", "dataset:db/a", "x"),)}
    hear(made, JOIN, JobObserved(made.now, ("dataset:db/a",), tuple(columns), None, columns))
    everything = hold_of(made, ROOT, "a")
    hear(made, JOIN, everything)
    assert JOIN in made.held()
    hear(made, JOIN, replace(hold_of(made, ROOT, "a", "y"), epoch=6))
    assert JOIN not in made.held()
    hear(made, JOIN, replace(hold_of(made, ROOT, "a", "x"), epoch=6))

    assert JOIN in made.held()  # another way may come after it


def test_a_job_that_reads_what_it_writes_can_mend_it_and_what_else_it_writes_waits() -> None:
    made = company()
    for _ in range(2):
        told(made, "merge", "raw", "raw log")
        told(made, "report", "log", "")
    made.settle()
    told(made, "merge", "raw", "raw log", good=False)
    made.settle()
    assert "job:ns/merge" not in made.held()
    assert "job:ns/report" in made.held()
    told(made, "merge", "raw", "raw log")
    made.settle()

    assert made.open() == set()
