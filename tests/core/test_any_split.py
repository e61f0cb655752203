"""The outcome does not depend on how records fell into batches, on restarts between them, or on the process."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.streams import Shape, companies, dirty, play
from tests.core.test_emissions import busy
from tests.core.world import World
from tests.strategies import examples


class Restless(World):
    """A world that is written out and read back now and then, at random."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = Random(seed)

    def put(self, *args, **named):  # type: ignore[no-untyped-def]
        self.reload = self.random.random() < 0.3
        return super().put(*args, **named)


@pytest.mark.slow
@given(companies, st.integers(0, 2**32))
@examples(0.08)
def test_states_that_are_written_and_read_between_any_two_records_say_and_become_the_same(
    company: list[list[Shape]], seed: int
) -> None:
    stream = dirty(company, seed)
    one = play(World(), stream, stream[-1].arrives)
    always = play(World(reload=True), stream, stream[-1].arrives)
    sometimes = play(Restless(seed), stream, stream[-1].arrives)

    for other in (always, sometimes):
        assert other.said == one.said
        assert other.digest == one.digest
        assert other.snapshots() == one.snapshots()
        assert other.partition.due == one.partition.due


def test_a_partition_that_is_read_back_asks_for_the_same_entities() -> None:
    one, other = busy(), busy(reload=True)

    assert (other.said, other.snapshots(), other.partition.due) == (one.said, one.snapshots(), one.partition.due)


TELL = """
from tests.core.test_emissions import busy
world = busy()
print(world.digest.hex(), hash("a string") % 1000)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [("0", "1", "4242")])
def test_another_process_with_another_hash_seed_says_the_same(seeds: tuple[str, ...]) -> None:
    root = Path(__file__).parents[2]
    told = [
        subprocess.run(
            [sys.executable, "-c", TELL],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in seeds
    ]

    assert {digest for digest, _ in told} == {busy().digest.hex()}
    assert len({hashed for _, hashed in told}) > 1
