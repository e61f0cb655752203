"""The whole story of a night, judged by the core itself in simulated time: what the live demo does, without servers."""

import json
from functools import cache
from typing import Any

import pytest

from detector.backtest import Replay
from detector.core.breaker import State
from detector.core.emissions import BreakerValue, Emission
from detector.core.rules import Rules
from detector.demo.company import HOUR, MINUTE
from detector.demo.faults import KINDS
from detector.demo.live import BEGIN, TO_BE_FOUND, past
from detector.demo.simulation import Sent, Simulation
from detector.demo.story import Story
from detector.sinks.cloudevents import as_json_line


class Night:
    """The company and the core, a minute at a time."""

    def __init__(self, seed: int, hours: float) -> None:
        self.story = Story()
        self._replay = Replay(Rules(gap=6 * HOUR))
        self._breakers: dict[str, State] = {}
        history = past(seed)
        self._hear(self._replay.tick(history[0].event_time // MINUTE * MINUTE))
        for event in history:
            self._hear(self._replay.ticks(event.event_time) + self._replay.event(event))
        simulation = Simulation(seed, BEGIN, BEGIN + hours * HOUR - TO_BE_FOUND)
        for minute in range(int(hours * 60)):
            self._minute(simulation, BEGIN + (minute + 1) * MINUTE)

    def _minute(self, simulation: Simulation, upto: float) -> None:
        happenings = simulation.advance(upto, lambda entity: self._breakers.get(entity, State.CLOSED))
        self.story.happened(happenings)
        for happening in happenings:
            if isinstance(happening, Sent):
                self._hear(self._replay.ticks(happening.at) + self._replay.event(happening.event))
        self._hear(self._replay.ticks(upto))

    def _hear(self, emissions: list[Emission]) -> None:
        for emission in emissions:
            if isinstance(emission.data, BreakerValue):
                self._breakers[emission.key] = emission.data.state
            if emission.topic == "control":
                self.story.heard(json.loads(as_json_line(emission, "/demo")), lambda _: 0.0, 0.5)


SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))]


@cache
def night(seed: int) -> dict[str, Any]:
    return Night(seed, hours=9).story.as_json()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_fault_is_found_and_nothing_else(seed: int) -> None:
    told = night(seed)

    assert told["injected"] >= 7
    assert [fault for fault in told["faults"] if fault["found_at"] is None] == []
    assert told["unexplained"] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_people_are_called_once_for_each_fault(seed: int) -> None:
    told = night(seed)

    assert told["calls"] == told["injected"]


@pytest.mark.slow
def test_a_night_has_nearly_every_kind_of_fault_and_the_breakers_protect_somebody() -> None:
    told = [night(seed) for seed in range(1, 6)]

    assert {fault["kind"] for one in told for fault in one["faults"]} == set(KINDS)
    assert all(one["protected"] > 0 for one in told)
    assert all(one["breakers_opened"] > 0 for one in told)


@pytest.mark.slow
def test_wrong_loads_and_failures_are_found_at_once_and_the_rest_within_the_hour() -> None:
    faults = [fault for seed in range(1, 6) for fault in night(seed)["faults"]]
    at_once = {"failed_run", "retries", "short_load", "zero_rows", "double_load"}

    assert {fault["delay_s"] for fault in faults if fault["kind"] in at_once} == {0.0}
    assert all(fault["delay_s"] <= TO_BE_FOUND for fault in faults)


@pytest.mark.slow
def test_the_same_seed_tells_the_same_story() -> None:
    assert night(1) == Night(1, hours=9).story.as_json()


def test_the_json_names_times_as_people_and_programs_read_them() -> None:
    fault = night(1)["faults"][0]

    assert {"kind", "entity", "injected_at", "found_at", "delay_s", "wall_delay_s"} <= fault.keys()
    assert fault["injected_at"].startswith("2026-03-03T")
    assert fault["injected_at"].endswith("Z")
    assert fault["wall_delay_s"] == 0.5
    json.dumps(night(1))
