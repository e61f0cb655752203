"""The whole program by real rows: `detector backtest` over the events of `realrows --events`, against the labels.

What the other measures judge is the model, a series at a time. This one judges what a person is told: each episode that
the shipped program begins, with the shipped configuration, for the dataset and for the job that writes it. An episode
that begins in a load of a fault has found it, and one is enough; those that begin in healthy loads are false, each one.
Neither: the first 20 loads, the loads after a fault in which things go back (three, or half as many as the fault had),
storms and holidays. Classes and the loads within which they must be found are pipebench's and realrows'.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.detection import pipebench as pb
from detector import backtest
from detector.config import Config
from detector.findings import Finding, Findings

WARM = pb.WARM
WITHIN = pb.K | {"unit": 2, "lost_category": 2}  # as realrows sets it when it is imported, which needs pandas
VIEWS = ("dataset", "job", "together")  # together: what begins at one load is one, as an incident joins it
HEALTHY, FAULT, AFTER, FREE = "false", "of a fault", "after one", "not charged"


class Fault(NamedTuple):
    """A labelled fault: its class, and the first and the last load that have it."""

    kind: str
    first: int
    last: int


class Loads(msgspec.Struct):
    """When load 0 was (seconds since 1970), the seconds between two, how many each pipeline has, and which are free."""

    start: float
    step: float
    count: int
    not_charged: list[int]


class Told(NamedTuple):
    """An episode: the pipeline and the load in which it began, `dataset` or `job`, and its check."""

    pipeline: str
    load: int
    of: str
    check: str


class Result(NamedTuple):
    """The figures of each view, and of each check of each kind of entity how many episodes were what."""

    views: dict[str, dict[str, float]]
    checks: dict[str, dict[str, float]]


def measure(source: str, seed: int) -> Result:
    """Write the events of one seed, let the program judge them, and score what it told."""
    with tempfile.TemporaryDirectory() as folder:
        write(source, seed, folder)
        return score_folder(folder, judged(folder))


def write(source: str, seed: int, folder: str) -> None:
    """The events, by the interpreter that $BENCH_PYTHON names: it has pandas."""
    python = os.environ.get("BENCH_PYTHON", sys.executable)
    command = [python, "-m", "bench.detection.realrows", source, "--seed", str(seed), "--events", folder]
    subprocess.run([*command, "--detectors", ""], check=True)


def judged(folder: str) -> list[Finding]:
    """What the program tells of the events in a folder."""
    findings = Findings()
    backtest.run([str(Path(folder) / "events.jsonl")], Config(), findings)
    return findings.all()


def score_folder(folder: str, findings: Iterable[Finding]) -> Result:
    """Score findings against the labels in a folder."""
    labels = json.loads((Path(folder) / "labels.json").read_text())
    loads = msgspec.json.decode((Path(folder) / "loads.json").read_bytes(), type=Loads)
    faults = {name: [Fault(*fault) for fault in told] for name, told in labels.items()}
    return score(faults, loads, findings)


# ---------------------------------------------------------------- the scorer


def score(faults: Mapping[str, Sequence[Fault]], loads: Loads, findings: Iterable[Finding]) -> Result:
    """Score what was told. A finding is a pipeline's by the end of its entity's name."""
    told = [_told(finding, loads, faults) for finding in findings]
    states = {name: _states(known, loads) for name, known in faults.items()}
    healthy = sum(state.count(HEALTHY) for state in states.values())
    views = {view: _figures([t for t in told if t.of == view], faults, states, healthy) for view in VIEWS[:2]}
    first_told = {(t.pipeline, t.load): t._replace(of=VIEWS[2], check="") for t in told}
    views[VIEWS[2]] = _figures(list(first_told.values()), faults, states, healthy)
    return Result(views, _by_check(told, states, healthy))


def _told(finding: Finding, loads: Loads, pipelines: Iterable[str]) -> Told:
    """Names of pipelines have a dot: `EWR.AA` writes `dataset:flights/wh.EWR.AA`."""
    pipeline = next(name for name in pipelines if finding.entity.endswith(f".{name}"))
    load = int((finding.since - loads.start) // loads.step)
    return Told(pipeline, load, finding.entity.partition(":")[0], finding.check)


def _states(faults: Sequence[Fault], loads: Loads) -> list[str]:
    """What each load is; a fault is one also in a storm."""
    states = [HEALTHY] * loads.count
    for fault in faults:
        lasts = fault.last - fault.first + 1
        end = min(fault.last + 1 + max(3, lasts // 2), loads.count)
        states[fault.last + 1 : end] = [AFTER] * (end - fault.last - 1)
    for load in [*range(WARM), *loads.not_charged]:
        states[load] = FREE
    for fault in faults:
        states[fault.first : fault.last + 1] = [FAULT] * (fault.last + 1 - fault.first)
    return states


def _figures(
    told: Sequence[Told], faults: Mapping[str, Sequence[Fault]], states: Mapping[str, list[str]], healthy: int
) -> dict[str, float]:
    begun = Counter((t.pipeline, t.load) for t in told)
    of_class: dict[str, list[bool]] = {}
    later, findings, once = [], [], []
    for name, known in faults.items():
        for fault in known:
            inside = [load for load in range(fault.first, fault.last + 1) if begun[name, load]]
            found = any(load < fault.first + WITHIN[fault.kind] for load in inside)
            of_class.setdefault(fault.kind, []).append(found)
            if found:
                later.append(inside[0] - fault.first)
                findings.append(sum(begun[name, load] for load in inside))
                once.append(findings[-1] == 1)
    hits, total = len(findings), sum(map(len, of_class.values()))
    wrong = sum(states[t.pipeline][t.load] == HEALTHY for t in told)
    recall, precision = _ratio(hits, total), _ratio(hits, hits + wrong)
    return {
        "recall": recall,
        "precision": precision,
        "f1": _ratio(2 * precision * recall, precision + recall),
        "fa_per_1000": 1000 * _ratio(wrong, healthy),
        "per_fault": _ratio(sum(findings), hits),
        "once": _ratio(sum(once), hits),
        "after": _ratio(sum(states[t.pipeline][t.load] == AFTER for t in told), hits),
        "later": _ratio(sum(later), hits),
    } | {kind: sum(found) / len(found) for kind, found in of_class.items()}


def _by_check(told: Sequence[Told], states: Mapping[str, list[str]], healthy: int) -> dict[str, dict[str, float]]:
    checks: dict[str, dict[str, float]] = {}
    for t in sorted(told, key=lambda t: (t.of, t.check)):
        counts = checks.setdefault(f"{t.of}: {t.check}", dict.fromkeys((FAULT, AFTER, FREE, HEALTHY), 0.0))
        counts[states[t.pipeline][t.load]] += 1
    for counts in checks.values():
        counts["per 1,000"] = 1000 * _ratio(counts[HEALTHY], healthy)
    return checks


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
