"""`make bench-detection`: several seeds of the measures, the engine and baselines side by side, beside the limits."""

import argparse
import csv
import json
import math
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.detection import pipebench as pb
from bench.detection import regimes, telemetry_score, together, whole
from bench.pipebench_factory import Detector, factory, telemetry_factory

Factory = Callable[[], Detector]
Result = dict[str, float]
Means = dict[str, Result]

MOST_PROCESSES = 2
THRESHOLD = 0.5  # where the engine alerts
DESCRIPTION = """Judge what ships, and what one would run instead, by series whose faults are known. Runs what it is
given: without an option, pipebench. Missing a limit fails nothing."""

# figure: (name in the table, limit, whether less is better)
Limits = dict[str, tuple[str, float | None, bool]]
PIPEBENCH: Limits = {
    "fa_per_1000": ("false alarms per 1,000 healthy", 0.8, True),
    "fa_per_1000_daily": ("the same, daily series", 0.5, True),
    "precision": ("precision", 0.80, False),
    "recall_statistical": ("recall (missing runs left out)", 0.75, False),
    "f1": ("F1", 0.77, False),
    "healthy_series_with_fa": ("healthy series with a false alarm", 0.10, True),
    "drop": ("found: drop", 0.95, False),
    "spike": ("found: spike", 0.95, False),
    "null_jump": ("found: null_jump", 0.95, False),
    "stuck": ("found: stuck", 0.95, False),
    "variance": ("found: variance", 0.95, False),
    "creep": ("found: creep", 0.80, False),
    "duplicate_load": ("found: duplicate_load", 0.65, False),
    "leak": ("found: leak", 0.60, False),
    "partial_load": ("found: partial_load", 0.40, False),
    "legit": ("legitimate changes alerted, share", None, True),
}
REALROWS: Limits = {
    "f1": ("F1", 0.65, False),
    "fa_per_1000": ("false alarms per 1,000 healthy", 1.5, True),
    "precision": ("precision", None, False),
    "recall": ("recall", None, False),
    "healthy_series_with_fa": ("healthy series with a false alarm", None, True),
    "drop": ("found: drop", 0.95, False),
    "unit": ("found: unit", 0.95, False),
    "duplicate_load": ("found: duplicate_load", 0.95, False),
    "null_jump": ("found: null_jump", 0.95, False),
    "partial_load": ("found: partial_load", 0.85, False),
    "stuck": ("found: stuck", 0.75, False),
    "leak": ("found: leak", 0.70, False),
    "lost_category": ("found: lost_category", None, False),
}
HOURLY: Limits = {key: (name, None, less) for key, (name, _, less) in REALROWS.items()}  # no limits were set
REGIMES: Limits = {  # no limits were set beforehand
    **{k: (name, None, less) for k, (name, _, less) in PIPEBENCH.items() if k not in ("variance", "fa_per_1000_daily")},
    "unit": ("found: unit", None, False),
    "decorrelation": ("found: decorrelation", None, False),
}
WHOLE: Limits = {  # the limits of the models, of a series, are not those of all that is told of a pipeline
    "f1": ("F1", None, False),
    "precision": ("precision", None, False),
    "recall": ("recall", None, False),
    "fa_per_1000": ("false findings per 1,000 loads", None, True),
    "per_fault": ("findings per fault found", None, True),
    "once": ("faults told once, share", None, False),
    "after": ("findings after a fault, per fault found", None, True),
    "later": ("loads until it is found", None, True),
    **{k: (name, None, less) for k, (name, _, less) in REALROWS.items() if name.startswith("found")},
}
TELEMETRY: Limits = {
    "standard": ("standard score", 72.0, False),
    "reward_low_FP_rate": ("score, low FP", 65.0, False),
    "reward_low_FN_rate": ("score, low FN", None, False),
    "standard, best": ("standard score, best threshold", None, False),
}


NAMES = ("detector", "zscore30", "HW6", "River Gauss")


def detectors() -> dict[str, Factory]:
    """What is compared: the engine first."""
    all_of_them = (factory, pb.Window, partial(pb.DeequHW, 6.0), pb.river_detectors()["river_gauss"])
    return dict(zip(NAMES, all_of_them, strict=True))


# ---------------------------------------------------------------- the measures


def seeds_of(text: str) -> list[int]:
    """`100-104` or `2,3`."""
    out: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        out += range(int(first), int(last or first) + 1)
    return out


@cache
def _series(measure: str, seed: int, source: str) -> list[pb.Series]:
    if measure == "pipebench":
        return list(pb.generate(seed))
    if measure == "regimes":
        return regimes.generate(seed)
    return real_rows(seed, source, hourly=measure == "realrows, hourly")


def real_rows(seed: int, source: str, *, hourly: bool = False) -> list[pb.Series]:
    """Built where pandas is: a process of the interpreter that $BENCH_PYTHON names."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "series"
        python = os.environ.get("BENCH_PYTHON", sys.executable)
        command = [python, "-m", "bench.detection.realrows", source, "--seed", str(seed), "--series", str(target)]
        subprocess.run([*command, *(["--hourly"] if hourly else [])], check=True)
        series: list[pb.Series] = pickle.loads(target.read_bytes())
    # as realrows sets it when it is imported, which cannot be done without pandas
    pb.K.update(unit=2, lost_category=2)
    return series


def judged(measure: str, seed: int, source: str, name: str) -> Result:
    """The figures of one detector on the series of one seed."""
    series = _series(measure, seed, source)
    alerts, us = pb.run(detectors()[name], series)
    result: dict[str, Any] = pb.score(series, alerts)
    legit = result["legit_change_alerts"] / max(1, result["legit_changes"])
    figures: Result = {k: v for k, v in result.items() if isinstance(v, float)}
    figures |= result["by_class"] | {"us": us, "legit": legit}
    return figures


def telemetry(folder: str, name: str) -> Result:
    """The scores of one detector at the threshold where it alerts, and at the best one."""
    corpus = telemetry_score.Corpus(folder)
    scores = {}
    for rel in corpus.files:
        detector = telemetry_factory() if name == "detector" else detectors()[name]()
        with (Path(folder) / "data" / rel).open(newline="") as file:
            rows = [
                (datetime.fromisoformat(r["timestamp"] + "+00:00"), float(r["value"])) for r in csv.DictReader(file)
            ]
        readings = [detector(at.timestamp(), x) for at, x in rows]
        # a baseline alerts elsewhere than at 0.5: its alerts are what it says
        scores[rel] = np.array([score if name == "detector" else float(alert) for score, alert in readings])
    fixed, best = corpus.score(scores, THRESHOLD), corpus.score(scores)
    return {k: v["score"] for k, v in fixed.items()} | {"standard, best": best["standard"]["score"]}


def whole_program(seeds: Sequence[int], source: str, pool: ProcessPoolExecutor) -> tuple[Means, Means]:
    """The figures of the whole program by kind of entity, and by check: means of the seeds."""
    results = list(pool.map(whole.measure, [source] * len(seeds), seeds))
    views = {view: mean([r.views[view] for r in results]) for view in whole.VIEWS}
    checks = sorted({check for r in results for check in r.checks})
    none = dict.fromkeys(next(iter(results[0].checks.values()), {}), 0.0)
    return views, {check: mean([r.checks.get(check, none) for r in results]) for check in checks}


# ---------------------------------------------------------------- the table


def mean(results: Sequence[Result]) -> Result:
    """The mean of each figure over the seeds that have it."""
    keys = {key for r in results for key in r}
    return {key: float(np.mean([r[key] for r in results if key in r])) for key in keys}


def table(title: str, limits: Limits, means: Means) -> str:
    """One line a figure, one column a detector; `*` where the engine misses the limit."""
    lines = [title, f"{'':36s} {'limit':>8s} " + " ".join(f"{name:>12s}" for name in means)]
    for key, (name, limit, less) in limits.items():
        shown = "" if limit is None else f"{'<=' if less else '>='} {limit:g}"
        cells = []
        for detector, result in means.items():
            value = result.get(key, math.nan)
            missed = detector == "detector" and limit is not None and (value > limit if less else value < limit)
            cells.append(f"{value:11.3f}{'*' if missed else ' '}")
        lines.append(f"{name:36s} {shown:>8s} " + " ".join(cells))
    return "\n".join(lines) + "\n"


def counts(title: str, rows: Means) -> str:
    """One line a check, one column for each thing that its findings were."""
    columns = list(next(iter(rows.values()), {}))
    lines = [title, f"{'':36s} " + " ".join(f"{column:>12s}" for column in columns)]
    lines += [f"{name:36s} " + " ".join(f"{row[column]:12.1f}" for column in columns) for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("make bench-detection ARGS=...", description=DESCRIPTION)
    parser.add_argument("--seeds", type=seeds_of, metavar="100-104", help="seeds, for pipebench also where others run")
    parser.add_argument("--flights", metavar="FILE", help="the flights, CSV or zipped: real rows")
    parser.add_argument("--hourly", action="store_true", help="with --flights: a load an hour, too")
    parser.add_argument("--whole", action="store_true", help="with --flights: the whole program, and nothing else")
    parser.add_argument("--telemetry", metavar="FOLDER", help="folder with data/ and labels/ of the telemetry")
    parser.add_argument("--regimes", action="store_true", help="the second generator")
    parser.add_argument("--together", action="store_true", help="what no single series shows, beside half-space trees")
    parser.add_argument("--detectors", metavar="NAMES", help=f"of these only, with commas: {', '.join(NAMES)}")
    parser.add_argument("--processes", type=int, default=MOST_PROCESSES, choices=range(1, MOST_PROCESSES + 1))
    parser.add_argument("--json", action="store_true", help="the means as JSON")
    parsed = parser.parse_args(arguments)
    if (parsed.whole or parsed.hourly) and not parsed.flights:
        parser.error("--whole and --hourly need --flights")
    return parsed


def main(arguments: Sequence[str]) -> None:
    """Run what is asked for and print it."""
    o = options(arguments)
    seeds = o.seeds or [100]
    if o.together:
        print(together.table(seeds))
    if o.whole:
        with ProcessPoolExecutor(o.processes) as pool:
            views, checks = whole_program(seeds, o.flights, pool)
        title = f"the whole program, means of seeds {', '.join(map(str, seeds))}"
        print(json.dumps({"whole": views, "checks": checks}) if o.json else table(title, WHOLE, views))
        print("" if o.json else counts("findings that begin", checks))
        return
    names = o.detectors.split(",") if o.detectors else list(NAMES)
    measures = [("regimes", REGIMES)] if o.regimes else []
    measures += [("realrows", REALROWS)] if o.flights else []
    measures += [("realrows, hourly", HOURLY)] if o.hourly else []
    if o.seeds or not (measures or o.telemetry):
        measures.insert(0, ("pipebench", PIPEBENCH))
    found: dict[str, dict[str, Result]] = {}
    with ProcessPoolExecutor(o.processes) as pool:
        for measure, limits in measures:
            jobs = {n: [pool.submit(judged, measure, s, o.flights or "", n) for s in seeds] for n in names}
            found[measure] = {n: mean([f.result() for f in futures]) for n, futures in jobs.items()}
            if not o.json:
                print(
                    table(f"{measure}, means of seeds {', '.join(map(str, seeds))}", limits, found[measure]), flush=True
                )
        if o.telemetry:
            scores = {n: pool.submit(telemetry, o.telemetry, n) for n in names}
            found["telemetry"] = {n: f.result() for n, f in scores.items()}
            if not o.json:
                print(table(f"telemetry, threshold {THRESHOLD}", TELEMETRY, found["telemetry"]))
    if o.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
