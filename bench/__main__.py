"""`make bench`: the options, and what is run in which order."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from confluent_kafka import KafkaException

from bench import report
from bench.company import messages
from bench.latency import latency
from bench.machine import Machine, described, pinned, say
from bench.measure import Failed, contender, daemon, stages
from bench.models import judging

PARTITIONS = 4
SLOW = 4  # the script reads one part in so many of the backlog: all of it would take minutes
PARTS = ("a", "b", "c", "d", "e", "stages", "latency", "models")
DESCRIPTION = """Measure Detector side by side with what a user would run instead, on a real Kafka and Redis that are
started for it (Java and Maven are needed). All read the same events, in turns, each on one core of its own; the
services have another. Progress goes to standard error, the report to standard output. Takes about five minutes."""
EPILOG = """parts: a = consume and decode alone; b = a script with River, and Redis for each event (it reads a quarter
of the backlog: all of it would take minutes); c = Quix Streams; d = Bytewax; e = the daemon; stages = its two stages
apart; latency = from an event to its signal; models = all series of a profile in one pass, beside River objects, how
that grows, and what a series weighs (needs no Kafka). Aims are printed beside the results and never fail the run."""


def options(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("make bench ARGS=...", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--events", type=int, default=100_000, help="events of the backlog (default 100000)")
    parser.add_argument("--jobs", type=int, default=200, help="jobs that they are of (default 200)")
    parser.add_argument("--repeat", type=int, default=3, help="times that each of a to e is run, in turns (default 3)")
    parser.add_argument("--rate", type=int, default=1_000, help="events a second of the latency part (default 1000)")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long that part lasts (default 30)")
    parser.add_argument("--only", metavar="PARTS", help=f"run these only, with commas: {','.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="10000 events, once, 5 s: does it run at all?")
    parser.add_argument("--json", action="store_true", help="print everything measured as JSON instead of the report")
    chosen = parser.parse_args(arguments)
    chosen.parts = chosen.only.split(",") if chosen.only else list(PARTS)
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"--only: there is no part {', '.join(sorted(unknown))}")
    if min(chosen.events, chosen.jobs, chosen.repeat, chosen.rate) < 1:
        parser.error("--events, --jobs, --repeat and --rate must be at least 1")
    if chosen.quick:
        chosen.events, chosen.repeat, chosen.seconds = 10_000, 1, 5.0
    return chosen


def main(arguments: list[str]) -> int:
    """Run what was asked for. Returns 1 if something was not measured to its end, 2 without Java or Maven."""
    chosen = options(arguments)
    results = report.Results(events=chosen.events, jobs=chosen.jobs)
    if "models" in chosen.parts:
        say("judging series")
        results.judging = judging(*((5, 10) if chosen.quick else ()))
    if chosen.parts == ["models"]:
        results.machine = described(None, None)
        return _print(results, chosen.json)
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing:
        say(f"a real Kafka is needed, and for that {' and '.join(missing)}, which this machine does not have")
        return 2
    python = os.environ.get("BENCH_PYTHON")
    with tempfile.TemporaryDirectory(prefix="detector-bench-") as directory, pinned(0):
        say("starting Kafka and Redis")
        with Machine(Path(directory)) as machine:
            results.machine = described(machine, python)
            failed = _Parts(machine, chosen, python, results).run()
    return _print(results, chosen.json, failed)


def _print(results: report.Results, as_json: bool, failed: bool = False) -> int:
    sys.stdout.write(msgspec.json.encode(results).decode() if as_json else report.text(results))
    sys.stdout.write("\n")
    return 1 if failed else 0


class _Parts:
    """The parts of one run, each of which may fail without the others."""

    def __init__(
        self, machine: Machine, chosen: argparse.Namespace, python: str | None, results: report.Results
    ) -> None:
        self._machine, self._chosen, self._results = machine, chosen, results
        self._python = {"a": sys.executable, "b": sys.executable, "c": python, "d": python}
        self._failed = False

    def run(self) -> bool:
        """Run them. Returns whether one failed."""
        chosen, topic = self._chosen, "bench-in"
        if set(chosen.parts) - {"latency", "models"}:
            say(f"filling a topic with {chosen.events:,} events of {chosen.jobs} jobs")
            self._machine.topic(topic, PARTITIONS, messages(chosen.events, chosen.jobs, time.time()))
            contender(self._machine, "a", sys.executable, topic, chosen.events, 0)  # Kafka is slow at first
        self._absent()
        for repetition in range(1, chosen.repeat + 1):
            for who in ("a", "b", "c", "d", "e"):
                if who in chosen.parts and who not in self._results.absent:
                    self._one(who, topic, repetition)
        if "stages" in chosen.parts:
            self._one("stages", topic, 1)
        if "latency" in chosen.parts:
            self._one("latency", topic, 1)
        return self._failed

    def _absent(self) -> None:
        for who, library in (("c", "quixstreams"), ("d", "bytewax")):
            if who not in self._chosen.parts:
                continue
            if self._python[who] is None:
                self._results.absent[who] = "not run, BENCH_PYTHON names no Python that has it (`make bench` does)"
            elif library not in self._results.machine["contenders'"]:
                self._results.absent[who] = f"not run, {library} is not there for this version of Python"

    def _one(self, who: str, topic: str, repetition: int) -> None:
        results, machine, chosen = self._results, self._machine, self._chosen
        say(f"{who}, {repetition} of {chosen.repeat if who in report.AIMS or who == 'e' else 1}")
        began = len(results.runs)
        try:
            if who == "e":
                run, results.states = daemon(machine, topic, repetition)
                results.runs.append(run)
            elif who == "stages":
                results.runs += stages(machine, topic, repetition)
            elif who == "latency":
                results.latency = latency(machine, chosen.rate, chosen.seconds, PARTITIONS)
            else:
                python = self._python[who] or sys.executable
                events = -(-chosen.events // SLOW) if who == "b" else chosen.events
                results.runs.append(contender(machine, who, python, topic, events, repetition))
        except (Failed, KafkaException) as failed:
            say(f"  failed: {failed}")
            self._failed = True
            return
        for run in results.runs[began:]:
            say(f"  {run.who}: {run.rate:,.0f} events/s ({run.events:,} in {run.seconds:.1f} s)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
