"""What the benchmark says of its figures, and that its events are what it says; not the speed itself."""

from collections.abc import Callable
from itertools import pairwise
from random import Random
from statistics import fmean

import pytest

from bench.__main__ import PARTS, main, options
from bench.company import messages
from bench.models import Lean, Objects, judging
from bench.report import Grown, Judging, Latency, Results, Run, percentile, ratios, text
from detector.codecs import Decoder
from detector.core.events import Record, RunEvent

RUNS = [
    Run("a", 1, 1_000, 0.01, 0.01),
    Run("e", 1, 1_000, 0.10, 0.10),
    Run("a", 2, 1_000, 0.02, 0.01),
    Run("e", 2, 1_000, 0.04, 0.05),
    Run("b", 3, 250, 0.25, 0.25, alerts=7),
]


def test_a_ratio_compares_what_ran_in_the_same_round() -> None:
    assert [pytest.approx(0.1), pytest.approx(0.5)] == ratios(RUNS, "e", "a")
    assert [pytest.approx(0.1), pytest.approx(0.2)] == ratios(RUNS, "e", "a", per_cpu=True)
    assert ratios(RUNS, "e", "b") == []


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    assert expected == percentile(list(range(100, 0, -1)), share)


def test_the_report_has_medians_spreads_and_aims_and_says_what_did_not_run() -> None:
    results = Results(
        machine={"cores": "2"},
        events=1_000,
        jobs=10,
        runs=RUNS,
        absent={"d": "not run, bytewax is not there for this version of Python"},
        latency=Latency(1_000, [0.05, 0.06, 0.3]),
        states={"job": [100, 300], "dataset": []},
    )

    lines = text(results).splitlines()

    assert "a      consume and decode alone                75,000  50,000  100,000    100,000       -     2" in lines
    assert "b      read the first 250 of them" in lines
    assert "d      Bytewax, with recovery: not run, bytewax is not there for this version of Python" in lines
    assert "e/a   0.30  0.10 to 0.50  aim 0.4: not reached       0.15" in lines
    assert "p50 60 ms, p99 300 ms, most 300 ms (aim: p99 below 200 ms: not reached)" in lines
    assert "job                           2   200   300" in lines
    assert "cores: 2" in lines


def test_nothing_measured_is_an_empty_report() -> None:
    assert text(Results()) == ""


def test_the_backlog_is_runs_in_order_with_six_numbers_each() -> None:
    decoder = Decoder()
    found = messages(400, 10, until=1_000_000.0)

    events = [decoder.decode(Record("in", 0, at, m.at, m.key, m.value)) for at, m in enumerate(found)]

    assert all(isinstance(event, RunEvent) for event in events)
    runs = [event for event in events if isinstance(event, RunEvent)]
    assert all(first.event_time <= second.event_time for first, second in pairwise(runs))
    assert {event.state for event in runs} == {"START", "COMPLETE"}
    assert len({event.name for event in runs}) == 10
    assert runs[-1].event_time < 1_000_000.0
    ends = [event for event in runs if event.state == "COMPLETE"]
    assert all(len(e.metrics) == 2 and e.inputs[0].rows and e.outputs[0].rows and e.outputs[0].bytes for e in ends)
    assert fmean(e.metrics["cpu_seconds"] for e in ends) == pytest.approx(180, rel=0.1)


def test_quick_is_small_and_unknown_parts_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    quick = options(["--quick"])
    assert (quick.events, quick.repeat, quick.parts) == (10_000, 1, list(PARTS))

    with pytest.raises(SystemExit):
        options(["--only", "a,zz"])

    assert "there is no part zz" in capsys.readouterr().err


@pytest.mark.slow
def test_the_part_of_the_models_runs_without_services_and_prints_what_it_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    measured = judging(rounds=2, most=1)

    assert main(["--only", "models", "--quick"]) == 0
    printed = capsys.readouterr().out
    assert "Judging 600 series of a profile" in printed
    assert all(f"\n{what}  " in printed for what in ("kernel", "step", "in memory", "daily, no season"))
    assert [(one.what, one.columns, one.entities) for one in measured.grown] == [
        ("kernel", 1, 1),
        ("kernel", 10, 1),
        ("step", 1, 1),
        ("step", 10, 1),
    ]
    assert min(len(measured.apart), len(measured.together), len(measured.objects), len(measured.lean)) == 2
    assert measured.bytes["daily, no season"] < measured.bytes["hourly, every season"] < measured.bytes["in memory"]


@pytest.mark.parametrize(
    ("own", "river", "speed", "times"),
    [
        (20e-6, 2_200e-6, "aim 25: both reached", "aim 100: both reached"),
        (50e-6, 2_500e-6, "aim 25: the limit reached, the aim not", "aim 100: the limit reached, the aim not"),
        (90e-6, 2_500e-6, "aim 25: not reached", "aim 100: not reached"),
    ],
)
def test_what_judging_costs_is_held_against_its_limits(own: float, river: float, speed: str, times: str) -> None:
    taken = [own] * 3
    found = Judging(600, 64, taken, taken, [river] * 3, taken, [Grown("step", 10, 1, 5e-4)], {"daily, no season": 50.0})
    lines = text(Results(judging=found)).splitlines()

    assert f"limit 60 us, {speed}" in lines
    assert f"limit 50 times (seven signals), {times}" in lines
    assert ["step", "10", "1", "500.0"] in [line.split() for line in lines]
    assert any(line.startswith("daily, no season") and line.endswith("limit 48: not reached") for line in lines)


@pytest.mark.parametrize("made", [Lean, Objects])
def test_what_it_is_compared_with_scores_a_fault_and_finds_a_drift(made: Callable[[], Lean]) -> None:
    random, one, other = Random(3), made(), made()
    usual = [100 * random.lognormvariate(0, 0.05) for _ in range(100)]
    scores = [one.judge(x)[0] for x in usual]
    drifts = [other.judge(x)[1] for x in usual]

    assert one.judge(1_000.0)[0] > 0.999 > max(scores[20:])
    assert not any(drifts[50:])
    assert any(other.judge(150.0)[1] for _ in range(30))
