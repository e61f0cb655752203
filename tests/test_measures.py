"""The measures of detection: series are the same for the same seed, and the scorer counts as it says."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import pipebench_factory
from bench.detection import pipebench as pb
from bench.detection import regimes, telemetry_score, whole
from bench.detection.__main__ import PIPEBENCH, mean, options, seeds_of, table
from bench.detection.budget import Kept
from bench.detection.budget import table as table_of
from detector.findings import Finding

Generate = Callable[..., list[pb.Series]]
GENERATORS = pytest.mark.parametrize("generate", [pb.generate, regimes.generate], ids=["pipebench", "regimes"])


@GENERATORS
def test_a_seed_makes_the_same_series_again(generate: Generate) -> None:
    first, again, fewer, other = generate(7, 16), generate(7, 16), generate(7, 8), generate(8, 16)
    for a, b in [*zip(first, again, strict=True), *zip(first[:8], fewer, strict=True)]:
        assert (a.name, a.faults, a.legit) == (b.name, b.faults, b.legit)
        assert np.array_equal(a.ts, b.ts)
        assert np.array_equal(a.y, b.y, equal_nan=True)
    assert any(len(a.y) != len(b.y) or not np.array_equal(a.y, b.y) for a, b in zip(first, other, strict=True))


@GENERATORS
def test_without_faults_a_series_is_the_same_but_for_them(generate: Generate) -> None:
    faulty, healthy = generate(7, 24), generate(7, 24, faults=False)
    assert any(s.faults for s in faulty)
    for a, b in zip(faulty, healthy, strict=True):
        assert not b.faults
        assert a.name == b.name
        before = min((first for _, first, _ in a.faults), default=len(a.y))
        assert np.array_equal(a.y[:before], b.y[:before])
        assert np.isfinite(b.y).all()


def test_regimes_label_what_the_scorer_knows_and_time_goes_on() -> None:
    series = regimes.generate(3, 80)
    assert {cls for s in series for cls, _, _ in s.faults} == set(regimes.FAULTS) <= set(pb.K)
    assert all((np.diff(s.ts) > 0).all() for s in series)
    assert all(0 < first <= last < len(s.y) for s in series for _, first, last in s.faults)


def made(n: int = 60, faults: list[tuple[str, int, int]] | None = None, legit: list[int] | None = None) -> pb.Series:
    y = np.full(n, 100.0)
    for _, first, last in faults or []:
        y[first : last + 1] = 5.0
    return pb.Series(
        f"rows_d_{n}",
        "rows",
        pb.T0 + pb.DAY * np.arange(n),
        y,
        faults or [],
        legit or [],
        np.zeros(n, bool),
        (np.full(n, math.log(100.0)), np.full(n, 0.1)),
    )


def alerts(n: int, *at: int) -> NDArray[np.bool_]:
    out = np.zeros(n, bool)
    out[list(at)] = True
    return out


def test_the_scorer_counts_episodes() -> None:
    series = [made(60, [("drop", 40, 42)]), made(60)]
    # in the warm-up (free), one found at once, and two false ones of which the second is two alerts
    result = pb.score(series, [alerts(60, 3, 40, 41), alerts(60, 25, 50, 52)])
    assert result["recall"] == 1.0
    assert result["delay_mean"] == 0.0
    assert result["false_episodes"] == 2
    assert result["precision"] == pytest.approx(1 / 3)
    assert result["healthy_series_with_fa"] == 1.0
    assert result["by_class"] == {"drop": 1.0}


def test_an_alert_that_comes_too_late_is_none() -> None:
    result = pb.score([made(60, [("drop", 40, 42)])], [alerts(60, 42)])
    assert result["recall"] == 0.0
    assert result["false_episodes"] == 0


def test_a_legitimate_change_may_be_told_once() -> None:
    result = pb.score([made(60, legit=[30])], [alerts(60, 31, 37)])
    assert result["legit_change_alerts"] == 1
    assert result["false_episodes"] == 1


def test_who_says_nothing_finds_nothing() -> None:
    found, _ = pb.run(lambda: lambda *_: (0.0, False), [made(60, [("drop", 40, 42)])])
    result = pb.score([made(60, [("drop", 40, 42)])], found)
    assert (result["recall"], result["f1"], result["fa_per_1000"]) == (0.0, 0.0, 0.0)


def test_the_oracle_finds_what_is_far_from_the_true_mean() -> None:
    series = [made(60, [("drop", 40, 42)]), made(60)]
    result = pb.score(series, pb.oracle(series, 5.0))
    assert (result["recall"], result["precision"], result["f1"]) == (1.0, 1.0, pytest.approx(1.0))
    generated = pb.generate(2, 60)
    result = pb.score(generated, pb.oracle(generated, 5.0))
    assert result["by_class"]["drop"] == 1.0
    assert result["recall"] > 0.8


def test_a_missing_run_is_told_and_a_value_judged() -> None:
    judge = pipebench_factory.factory()
    assert judge(0.0, None) == (1.0, True)
    for day in range(40):
        assert not judge(pb.DAY * day, 10_000.0 + 100 * (day % 3))[1]
    score, alert = judge(pb.DAY * 40, 12.0)
    assert alert
    assert 0.5 <= score <= 1.0
    # another series begins anew
    assert not pipebench_factory.factory()(pb.DAY * 40, 12.0)[1]


def test_telemetry_rewards_early_and_null_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "data/a").mkdir(parents=True)
    stamps = [f"2024-01-01 {i // 60:02d}:{i % 60:02d}:00" for i in range(200)]
    (tmp_path / "data/a/x.csv").write_text("timestamp,value\n" + "".join(f"{t},1.5\n" for t in stamps))
    windows = f'{{"a/x.csv": [["{stamps[100]}.000000", "{stamps[119]}.000000"]]}}'
    (tmp_path / "labels/combined_windows.json").write_text(windows)
    corpus = telemetry_score.Corpus(tmp_path)

    def standard(*at: int) -> float:
        score: float = corpus.score({"a/x.csv": alerts(200, *at).astype(float)}, 0.5)["standard"]["score"]
        return score

    assert standard() == 0.0
    assert standard(100) == pytest.approx(100.0)
    assert standard(100) > standard(118) > standard(100, 60) - 60 > -100
    assert standard(60) < 0.0


def test_the_table_marks_what_the_engine_misses() -> None:
    assert seeds_of("2,100-102") == [2, 100, 101, 102]
    assert options(["--seeds", "100-101"]).seeds == [100, 101]
    assert mean([{"f1": 0.5}, {"f1": 0.7, "leak": 1.0}]) == {"f1": pytest.approx(0.6), "leak": 1.0}
    text = table("title", PIPEBENCH, {"detector": {"f1": 0.5, "precision": 0.9}, "zscore30": {"f1": 0.4}})
    line = next(line for line in text.splitlines() if line.startswith("F1"))
    assert line.split() == ["F1", ">=", "0.77", "0.500*", "0.400"]
    assert "0.900*" not in text


def test_the_ratio_is_of_the_budget() -> None:
    assert Kept("regimes", 0.5, 1.0, 2.0, 3, 0.1).ratio == 2.0


def test_an_entity_with_many_columns_keeps_the_budget_that_its_loads_would_break_by_far() -> None:
    generous, kept = (table_of(200, pb.DAY, budget, seed=1, loads=150) for budget in (1_000.0, 1.0))

    assert generous.of_a_quarter > 2.0
    assert kept.of_a_quarter <= 0.5


# ---------------------------------------------------------------- the whole program


def finding(entity: str, load: float, check: str = "rows") -> Finding:
    return Finding(entity=entity, check=check, severity="warning", summary="", since=DAY_0 + pb.DAY * load)


DAY_0 = pb.T0 + 4 * 3600.0
LOADS = whole.Loads(DAY_0, pb.DAY, 60, [50])
ROWS = "dataset:flights/wh.EWR.AA"
JOB = "job:flights/load.EWR.AA"


def whole_score(faults: list[whole.Fault], *findings: Finding) -> whole.Result:
    return whole.score({"EWR.AA": faults, "JFK.AA": []}, LOADS, findings)


def test_a_fault_that_is_told_twice_is_found_once_and_not_told_once() -> None:
    fault = whole.Fault("null_jump", 30, 32)
    result = whole_score([fault], finding(ROWS, 31.2), finding(ROWS, 31.2, "columns"), finding(JOB, 31.3, "rows_out"))
    dataset, job, together = (result.views[view] for view in whole.VIEWS)

    assert (dataset["recall"], dataset["precision"], dataset["null_jump"]) == (1.0, 1.0, 1.0)
    assert (dataset["per_fault"], dataset["once"], dataset["later"]) == (2.0, 0.0, 1.0)
    assert (job["per_fault"], job["once"]) == (1.0, 1.0)
    assert (together["per_fault"], together["once"]) == (1.0, 1.0)


def test_each_finding_of_a_healthy_load_is_false_and_those_that_nobody_is_charged_are_not() -> None:
    warm, storm, after = finding(ROWS, 3), finding(ROWS, 50), finding(ROWS, 35)
    wrong = finding("dataset:flights/wh.JFK.AA", 30), finding(ROWS, 45, "columns"), finding(ROWS, 45)
    result = whole_score([whole.Fault("drop", 34, 34)], warm, storm, after, *wrong)

    # two pipelines of 60 loads, of which 20 are warm-up, one a storm, and of one four a fault or the edge of it
    assert result.views["dataset"]["fa_per_1000"] == pytest.approx(1000 * 3 / (2 * 39 - 4))
    assert (result.views["dataset"]["recall"], result.views["dataset"]["precision"]) == (0.0, 0.0)
    assert result.views["together"]["fa_per_1000"] == pytest.approx(1000 * 2 / (2 * 39 - 4))
    assert result.checks["dataset: columns"][whole.HEALTHY] == 1.0
    assert result.checks["dataset: rows"] == {
        whole.HEALTHY: 2.0,
        whole.AFTER: 1.0,
        whole.FREE: 2.0,
        whole.FAULT: 0.0,
        "per 1,000": pytest.approx(1000 * 2 / (2 * 39 - 4)),
    }


def test_a_finding_that_began_before_the_fault_has_not_found_it() -> None:
    result = whole_score([whole.Fault("unit", 30, 31)], finding(ROWS, 29.9))

    assert result.views["dataset"]["recall"] == 0.0
    assert result.views["dataset"]["fa_per_1000"] > 0.0


def test_the_program_judges_the_events_of_a_folder(tmp_path: Path) -> None:
    events = []
    for day in range(40):
        rows = 20 if day == 34 else 10_000 + 100 * (day % 3)
        facet = {"outputStatistics": {"rowCount": rows}}
        event = {
            "eventType": "COMPLETE",
            "eventTime": datetime.fromtimestamp(DAY_0 + pb.DAY * day + 60, UTC).isoformat(),
            "run": {"runId": str(UUID(int=day))},
            "job": {"namespace": "flights", "name": "load.EWR.AA"},
            "outputs": [{"namespace": "flights", "name": "wh.EWR.AA", "outputFacets": facet}],
        }
        events.append(json.dumps(event) + "\n")
    (tmp_path / "events.jsonl").write_text("".join(events))
    (tmp_path / "labels.json").write_text('{"EWR.AA": [["drop", 34, 34]]}')
    (tmp_path / "loads.json").write_text(json.dumps({"start": DAY_0, "step": pb.DAY, "count": 40, "not_charged": []}))

    views = whole.score_folder(str(tmp_path), whole.judged(str(tmp_path))).views

    for view in whole.VIEWS:
        assert (views[view]["drop"], views[view]["precision"], views[view]["per_fault"]) == (1.0, 1.0, 1.0)
        assert views[view]["later"] == 0.0


def test_the_whole_program_is_judged_by_real_rows_only() -> None:
    assert options(["--whole", "--flights", "f.csv", "--seeds", "100"]).whole
    with pytest.raises(SystemExit):
        options(["--whole"])
