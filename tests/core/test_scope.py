"""A breaker says what of a dataset is bad: some columns, some partitions, or all of it; and who reads none of it goes
on.
"""

from random import Random

import pytest

from detector.core.emissions import BreakerValue
from detector.core.events import Dataset, Profile, RunEvent
from detector.core.rules import Rules, Settings
from tests.core.company import Company
from tests.core.test_profiles import amounts, table
from tests.core.world import DAY, HOUR, MONDAY, TABLE

QUIET = Rules(Settings(late=None, hanging=None, wait=7 * DAY, max_wait=8 * DAY))
READERS = {
    "job:ns/by_amount": (("total", TABLE, "amount"),),
    "job:ns/by_price": (("total", TABLE, "price"),),
}


def learned(partitions: bool = False) -> tuple[Company, Random]:
    """Thirty daily loads of a table with two amounts, and who reads which of them."""
    made, rng = Company(MONDAY, rules=QUIET), Random(3)
    for day in range(30):
        load(made, rng, partition=f"day={day}" if partitions else None)
        made.wait(DAY, every=6 * HOUR)
    for job, columns in READERS.items():
        name = job.partition("/")[2]
        out = Dataset("db", f"{name}_out", columns_from=columns)
        read = (Dataset("db", "orders"),)
        made.tell(RunEvent("ns", name, f"{name}-1", "COMPLETE", made.now, inputs=read, outputs=(out,)))
    made.settle()
    return made, rng


def load(
    made: Company, rng: Random, bad: tuple[str, ...] = (), rows: float = 1_000.0, partition: str | None = None
) -> None:
    """A profile of the table; most values of the columns that are `bad` are null."""
    columns = {name: amounts(rows, rng, nulls=0.9 if name in bad else 0.02) for name in ("amount", "price")}
    grain = "load" if partition is None else "partition"
    made.tell(Profile("db", "orders", made.now, rows, grain, partition=partition, statistics=table(columns)))
    made.settle()


def opened(made: Company) -> BreakerValue:
    value = made.breakers()[TABLE]
    assert value.state == "open"
    return value


@pytest.mark.parametrize(
    ("bad", "rows", "scope", "held"),
    [
        pytest.param(("amount",), 1_000.0, ["column:amount"], {"job:ns/by_amount"}, id="one column"),
        pytest.param(("amount", "price"), 1_000.0, ["column:amount", "column:price"], set(READERS), id="two columns"),
        pytest.param(("amount",), 20.0, [], set(READERS), id="a column, and most of the rows are missing"),
    ],
)
def test_only_those_are_held_who_read_a_column_that_is_bad(
    bad: tuple[str, ...], rows: float, scope: list[str], held: set[str]
) -> None:
    made, rng = learned()
    for _ in range(2):
        load(made, rng, bad, rows)
        made.wait(DAY, every=6 * HOUR)

    assert opened(made).scope == scope
    assert {key for key in made.held() if key.startswith("job:")} == held


def test_more_columns_that_turn_bad_are_added_and_a_good_load_ends_it() -> None:
    made, rng = learned()
    for bad in (("amount",), ("amount",), ("amount", "price")):
        load(made, rng, bad)
        made.wait(DAY, every=6 * HOUR)
    assert opened(made).scope == ["column:amount", "column:price"]
    load(made, rng)
    made.wait(DAY, every=6 * HOUR)
    load(made, rng)

    assert made.breakers()[TABLE].state == "closed"
    assert made.held() == set()


def test_of_a_partition_that_is_bad_the_others_can_be_told() -> None:
    made, rng = learned(partitions=True)
    for day in (30, 31):
        load(made, rng, ("amount",), partition=f"day={day}")
        made.wait(DAY, every=6 * HOUR)

    assert opened(made).scope[-1] == "partition:day=31"
    assert all(name.startswith("partition:") for name in opened(made).scope)
