"""What is told twice, or out of order within a run, leads to the verdicts of the clean stream."""

from hypothesis import given
from hypothesis import strategies as st

from detector.core.rules import Rules, Settings
from tests.core.streams import Shape, clean, companies, dirty, play
from tests.core.world import World, anomalies
from tests.strategies import examples

Verdict = tuple[str, str, str | None, str]


def verdicts(world: World) -> set[Verdict]:
    """What was found: (entity, check, run, severity). An anomaly of several checks is found in each of them: by which
    of them it is called depends on what came first.
    """
    return {
        (a.entity, check, a.run_id, severity)
        for a in anomalies(world.said)
        if a.phase != "ended"
        for check, severity in [(c.metric, c.severity) for c in a.contributors] or [(a.check, a.severity)]
    }


def states(world: World) -> dict[str, tuple[str, set[str]]]:
    """The breakers, and the checks whose episodes are open at the end."""
    return {
        key: (
            entity.judgement.breaker.state.value,
            {check for name, episode in entity.judgement.episodes.items() for check in episode.checks or [name]},
        )
        for key, entity in world.entities.items()
    }


@given(companies, st.integers(0, 2**32))
def test_a_dirty_stream_has_the_verdicts_of_the_clean_one(company: list[list[Shape]], seed: int) -> None:
    # Without lateness, which is right to differ: an event that arrives after the deadline has not arrived before it.
    rules, stream = Rules(Settings(late=None)), clean(company)
    one = play(World(rules), stream, stream[-1].arrives)
    other = play(World(rules), dirty(company, seed), stream[-1].arrives)

    assert verdicts(other) == verdicts(one)
    assert states(other) == states(one)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
@examples(0.25)
def test_a_run_that_is_missing_is_late_in_a_dirty_stream_too(before: int, after: int, seed: int) -> None:
    company = [[Shape()] * before + [Shape(skipped=True)] + [Shape()] * after]
    stream = clean(company)
    one = play(World(), stream, stream[-1].arrives)
    other = play(World(), dirty(company, seed), stream[-1].arrives)

    assert verdicts(other) == verdicts(one) == {("job:ns/j0", "late", None, "warning")}


def test_the_streams_have_in_them_what_the_promise_is_about() -> None:
    company = [
        [
            Shape("FAIL"),
            Shape(),
            Shape(rows=20.0),
            Shape(),
            Shape(takes=700.0),
            Shape(passes=False),
            Shape(skipped=True),
            Shape(),
        ],
    ]
    stream = clean(company)
    world = play(World(), stream, stream[-1].arrives)
    untidy = dirty(company, 1)

    assert {check for _, check, _, _ in verdicts(world)} == {
        "failed",
        "rows",
        "rows_out",
        "duration",
        "hanging",
        "assertion",
        "late",
    }
    assert len(untidy) > len(stream)
    assert [told.event.event_time for told in untidy] != sorted(told.event.event_time for told in untidy)
