"""May this pipeline go on? The rule as a table, and what Redis must hold for it."""

import time
from collections.abc import Iterator

import msgspec
import pytest
import redis

from detector import view
from detector.core.breaker import Override, Probe, State
from detector.core.emissions import BreakerValue, HeldBy, OwnBreaker
from detector.embedded import EmbeddedRedis
from detector.view import Asked, decide, read

NOW = 1_787_371_391.0
JOB = "job:airflow/orders"
TABLE = "dataset:dwh/orders"


def value(**change: object) -> BreakerValue:
    closed = BreakerValue(
        entity=JOB,
        state=State.CLOSED,
        mode="enforce",
        on_unknown="allow",
        since=NOW - 3_600,
        retry_at=None,
        reason="a good run",
        cause=None,
        trips=0,
        sequence=4,
        warming_up=False,
        partition=3,
    )
    return msgspec.structs.replace(closed, **change)


OPEN = {"state": State.OPEN, "reason": "412 rows, expected 9,400 to 11,800", "retry_at": NOW + 300, "trips": 1}


@pytest.mark.parametrize(
    ("breaker", "age", "expected"),
    [
        pytest.param(value(), 4, ("allow", "closed"), id="a closed one lets pass"),
        pytest.param(value(**OPEN), 4, ("block", "open"), id="an open one blocks"),
        pytest.param(value(**OPEN | {"retry_at": NOW - 1}), 4, ("block", "open"), id="until the detector moves it"),
        pytest.param(value(state=State.HALF_OPEN), 4, ("allow", "probe"), id="a half-open one admits a probe"),
        pytest.param(value(state=State.UNKNOWN), 4, ("unknown", "lost"), id="the detector itself does not know"),
        pytest.param(value(**OPEN, mode="shadow"), 4, ("allow", "shadow"), id="a shadow stops nobody"),
        pytest.param(value(mode="off"), 4, ("allow", "off"), id="one that is off stops nobody"),
        pytest.param(value(), None, ("unknown", "no_heartbeat"), id="no heartbeat was ever seen"),
        pytest.param(value(), 60, ("allow", "closed"), id="as old as it may be"),
        pytest.param(value(), 61, ("unknown", "stale"), id="too old to believe that it is closed"),
        pytest.param(value(**OPEN), 61, ("unknown", "stale"), id="too old to believe that it is open"),
        pytest.param(value(mode="shadow"), 61, ("unknown", "stale"), id="too old to believe the mode"),
        pytest.param(value(), -5, ("allow", "closed"), id="clocks differ a little"),
        pytest.param(value(), -61, ("unknown", "ahead"), id="clocks differ too much to know how old it is"),
        pytest.param(None, None, ("unknown", "no_record"), id="nobody has spoken of it"),
    ],
)
def test_the_answer(breaker: BreakerValue | None, age: float | None, expected: tuple[str, str]) -> None:
    answer = decide(JOB, breaker, None if age is None else NOW - age, NOW)

    assert (answer.verdict, answer.reason) == expected


@pytest.mark.parametrize(
    ("breaker", "expected"),
    [
        pytest.param(value(on_unknown="block"), "block", id="as configured"),
        pytest.param(value(on_unknown="block", mode="shadow"), "allow", id="a shadow never stops anybody"),
        pytest.param(None, None, id="not known either"),
    ],
)
def test_what_to_do_when_unknown(breaker: BreakerValue | None, expected: str | None) -> None:
    answer = decide(JOB, breaker, None, NOW)

    assert (answer.verdict, answer.on_unknown) == ("unknown", expected)


def test_a_message_has_all_that_a_person_needs() -> None:
    answer = decide(JOB, value(**OPEN), NOW - 4, NOW)

    assert answer.message == (
        "open for 1 h: 412 rows, expected 9,400 to 11,800; a probe may run from Sat 22 Aug 04:08:11 UTC, in 5 min"
    )
    assert answer.heartbeat_age == 4


def test_a_shadow_says_what_it_would_have_done() -> None:
    answer = decide(JOB, value(**OPEN, mode="shadow"), NOW - 4, NOW)

    assert answer.message == (
        "its breaker is in shadow mode, which stops nobody; it is open for 1 h: 412 rows, expected 9,400 to 11,800"
    )


# ---------------------------------------------------------------- who has opened it, and for whom


def held(root: str = "dataset:raw/orders", scope: tuple[str, ...] = (), since: float = NOW - 60) -> HeldBy:
    return HeldBy(
        root=root,
        path=[root, "job:dbt/clean", TABLE],
        since=since,
        until=NOW + 3_600,
        reason="rows: 412",
        bad_since=since,
        epoch=1,
        scope=list(scope),
    )


def own(state: State = State.CLOSED, scope: tuple[str, ...] = ()) -> OwnBreaker:
    return OwnBreaker(state=state, since=NOW - 60, reason="rows: 412", scope=list(scope))


def overridden(state: str) -> Override:
    return Override(state=state, owner="ada", reason="known", until=NOW + 3_600, since=NOW - 60)  # type: ignore[arg-type]


HELD = {"state": State.OPEN, "since": NOW - 60, "reason": "held: dataset:raw/orders is bad upstream: rows: 412"}
FORCED = {"since": NOW - 60, "reason": "ada has said so: known"}
PROBED = {"state": State.HALF_OPEN, "probe": Probe(holder="run-7", until=NOW + 600)}


@pytest.mark.parametrize(
    ("breaker", "asked", "expected"),
    [
        pytest.param(value(**HELD, own=own(), held_by=[held()]), Asked(), ("block", "held"), id="held from upstream"),
        pytest.param(
            value(**OPEN, own=own(State.OPEN), held_by=[held()]), Asked(), ("block", "open"), id="held, and bad itself"
        ),
        pytest.param(
            value(**FORCED, state=State.OPEN, override=overridden("force_open"), own=own()),
            Asked(), ("block", "override"), id="a person has opened it",
        ),
        pytest.param(
            value(**FORCED, override=overridden("force_closed"), own=own(State.OPEN), held_by=[held()]),
            Asked(), ("allow", "override"), id="a person has closed it, whatever else",
        ),
        pytest.param(
            value(**HELD, mode="shadow", own=own(), held_by=[held()]), Asked(), ("allow", "shadow"), id="held in shadow"
        ),
        pytest.param(value(**PROBED), Asked(), ("block", "probing"), id="another run is the probe"),
        pytest.param(value(**PROBED), Asked(probe="run-8"), ("block", "probing"), id="and none of this name"),
        pytest.param(value(**PROBED), Asked(probe="run-7"), ("allow", "probe"), id="this run is the probe"),
        pytest.param(value(state=State.HALF_OPEN), Asked(probe="run-7"), ("allow", "probe"), id="nobody is, yet"),
        pytest.param(value(**OPEN), Asked(probe="run-7"), ("block", "open"), id="an open one has no probe"),
    ],
)  # fmt: skip
def test_the_answer_of_what_is_held_overruled_or_probed(
    breaker: BreakerValue, asked: Asked, expected: tuple[str, str]
) -> None:
    answer = decide(JOB, breaker, NOW - 4, NOW, asked=asked)

    assert (answer.verdict, answer.reason) == expected


COLUMN, PARTITION, BOTH = ("column:amount",), ("partition:de",), ("column:amount", "partition:de")


@pytest.mark.parametrize(
    ("scope", "asked", "expected"),
    [
        pytest.param((), Asked(columns=("id",)), "block", id="all of it is bad"),
        pytest.param(COLUMN, Asked(), "block", id="who does not say reads every column"),
        pytest.param(COLUMN, Asked(columns=("id", "amount")), "block", id="a column that is read is bad"),
        pytest.param(COLUMN, Asked(columns=("id",)), "allow", id="no column that is read is bad"),
        pytest.param(COLUMN, Asked(partitions=("fr",)), "block", id="a column is bad in every partition"),
        pytest.param(PARTITION, Asked(partitions=("de",)), "block", id="a partition that is read is bad"),
        pytest.param(PARTITION, Asked(partitions=("fr",)), "allow", id="no partition that is read is bad"),
        pytest.param(PARTITION, Asked(columns=("id",)), "block", id="every column is in that partition"),
        pytest.param(BOTH, Asked(columns=("id",), partitions=("fr",)), "allow", id="neither of them is read"),
        pytest.param(BOTH, Asked(columns=("id",), partitions=("de",)), "block", id="one of them is"),
    ],
)
@pytest.mark.parametrize("state", [State.OPEN, State.HALF_OPEN])
def test_what_is_bad_of_a_dataset_stops_those_who_read_it(
    scope: tuple[str, ...], asked: Asked, expected: str, state: State
) -> None:
    probe = Probe(holder="somebody", until=NOW + 600)
    breaker = value(entity=TABLE, state=state, scope=list(scope), own=own(state, scope), probe=probe)

    answer = decide(TABLE, breaker, NOW - 4, NOW, asked=asked)

    assert (answer.verdict, answer.reason == "out_of_scope") == (expected, expected == "allow")


@pytest.mark.parametrize(
    ("own_scope", "held_scope", "expected"),
    [
        pytest.param(COLUMN, (), "block", id="a column by itself, all of it from upstream"),
        pytest.param(COLUMN, ("column:id",), "block", id="a column each"),
        pytest.param(COLUMN, ("column:note",), "allow", id="neither is read"),
    ],
)
def test_what_stops_a_dataset_adds_up(own_scope: tuple[str, ...], held_scope: tuple[str, ...], expected: str) -> None:
    breaker = value(
        **OPEN, entity=TABLE, scope=list(own_scope), own=own(State.OPEN, own_scope), held_by=[held(scope=held_scope)]
    )

    assert decide(TABLE, breaker, NOW - 4, NOW, asked=Asked(columns=("id",))).verdict == expected


def test_who_is_held_is_told_from_where_and_which_way() -> None:
    breaker = value(**HELD, sequence=0, own=own(), held_by=[held()])

    assert decide(JOB, breaker, NOW - 4, NOW).message == (
        "open for 1 min: held: dataset:raw/orders is bad upstream: rows: 412;"
        " the way: dataset:raw/orders > job:dbt/clean > dataset:dwh/orders > job:airflow/orders"
    )


def test_who_is_overruled_is_told_by_whom_why_and_until_when() -> None:
    breaker = value(**FORCED, override=overridden("force_closed"), own=own(State.OPEN))

    assert decide(JOB, breaker, NOW - 4, NOW).message == (
        "closed for 1 min: ada has said so: known; until Sat 22 Aug 05:03:11 UTC"
    )


# ---------------------------------------------------------------- reading


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def client(server: EmbeddedRedis) -> Iterator[redis.Redis]:
    client = server.client()
    client.flushall()
    yield client
    client.close()


def stored(breaker: BreakerValue) -> bytes:
    return msgspec.json.encode({**msgspec.to_builtins(breaker), "offset": 17, "topic_id": "t"})


def test_reading_takes_the_breaker_and_the_heartbeat_of_its_partition(client: redis.Redis) -> None:
    client.set("d:{view}:breaker:job:airflow/orders", stored(value(**OPEN)))
    client.set("d:{view}:heartbeat:3", b'{"partition":3,"clock":%d,"offset":4,"topic_id":"t"}' % (NOW - 7))
    client.set("d:{view}:heartbeat:2", b'{"partition":2,"clock":0,"offset":4,"topic_id":"t"}')

    answer = read(client, "d", JOB, NOW)

    assert (answer.verdict, answer.heartbeat_age) == ("block", 7)
    assert isinstance(answer.breaker, view.Stored)
    assert (answer.breaker.offset, answer.breaker.topic_id) == (17, "t")


def test_a_client_that_decodes_reads_the_same(server: EmbeddedRedis, client: redis.Redis) -> None:
    client.set("d:{view}:breaker:job:airflow/orders", stored(value()))
    client.set("d:{view}:heartbeat:3", b'{"partition":3,"clock":%d}' % NOW)
    decoding = redis.Redis.from_url(server.url, decode_responses=True)

    assert read(decoding, "d", JOB, NOW) == read(client, "d", JOB, NOW)
    decoding.close()


def test_an_empty_redis_knows_nothing(client: redis.Redis) -> None:
    assert read(client, "d", JOB, NOW).reason == "no_record"


@pytest.mark.parametrize("broken", [b"{", b'{"state":"molten"}'])
def test_what_a_newer_release_wrote_is_unknown_and_no_crash(client: redis.Redis, broken: bytes) -> None:
    client.set("d:{view}:breaker:job:airflow/orders", broken)

    assert read(client, "d", JOB, NOW).reason == "unreadable"


def test_a_redis_that_is_away_is_an_answer() -> None:
    away = redis.Redis.from_url("unix:///nonexistent/redis.sock", retry=None)

    answer = read(away, "d", JOB, time.time())

    assert (answer.verdict, answer.reason) == ("unknown", "unreachable")


def test_every_verdict_has_its_exit_code() -> None:
    assert view.EXIT_CODES == {"allow": 0, "block": 1, "unknown": 2}


def test_the_list_has_every_breaker_and_those_that_block_first(client: redis.Redis) -> None:
    client.set("d:{view}:heartbeat:3", b'{"partition":3,"clock":%d}' % NOW)
    for name, breaker in (("a", value()), ("b", value(**OPEN)), ("c", value(partition=4))):
        client.set(f"d:{{view}}:breaker:job:airflow/{name}", stored(breaker))
    client.set("d:{view}:breaker:job:airflow/d", b"{")
    client.set("d2:{view}:breaker:job:airflow/e", stored(value()))

    answers = view.read_all(client, "d", NOW)

    assert [(answer.entity, answer.reason) for answer in answers] == [
        ("job:airflow/b", "open"),
        ("job:airflow/c", "no_heartbeat"),
        ("job:airflow/d", "unreadable"),
        ("job:airflow/a", "closed"),
    ]
