"""Random orders of events, messages, commands and time over a small company: what holds whatever happens."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from detector.core.breaker import LEGAL, State, signal
from detector.core.commands import Feedback, RequestProbe, SetOverride
from detector.core.emissions import BreakerChange, BreakerValue
from detector.core.events import Assertion, Dataset, RunEvent
from detector.core.lineage import LEASE
from detector.core.rules import Rules, Settings
from tests.core.company import Company
from tests.core.world import DAY, HOUR, MINUTE, MONDAY
from tests.strategies import examples

# job: (inputs, outputs). Two ways lead from `raw` to `facts`; `loop` reads what it makes in the end.
JOBS = {
    "load": ((), ("raw",)),
    "clean": (("raw",), ("orders",)),
    "rates": (("raw",), ("fx",)),
    "join": (("orders", "fx"), ("facts",)),
    "loop": (("facts", "state"), ("state", "kpi")),
    "report": (("kpi",), ("mail",)),
    "other": (("elsewhere",), ("aside",)),
}
DATASETS = sorted({name for inputs, outputs in JOBS.values() for name in (*inputs, *outputs)})
jobs, datasets = st.sampled_from(sorted(JOBS)), st.sampled_from(DATASETS)
entities = st.one_of(jobs.map("job:ns/{}".format), datasets.map("dataset:db/{}".format))


def reached(roots: set[str]) -> set[str]:
    """Who waits for these datasets: who reads them, directly or not, but for who writes the one that is bad."""
    found: set[str] = set()
    for root in sorted(roots):
        names, seen = [root.removeprefix("dataset:db/")], set[str]()
        while names:
            name = names.pop()
            for job, (inputs, outputs) in JOBS.items():
                if name in inputs and job not in seen:
                    seen.add(job)
                    names += outputs
                    found |= {f"dataset:db/{output}" for output in outputs}
                    if root.removeprefix("dataset:db/") not in outputs:
                        found.add(f"job:ns/{job}")
    return found


class SmallCompany(RuleBasedStateMachine):
    """Events of runs, good and bad; messages that arrive when they like; people; time."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.company = Company(MONDAY, rules=Rules(Settings(late=None, hanging=None)))

    def run(self, job: str, good: bool, state: str = "COMPLETE") -> None:
        self.count += 1
        inputs, outputs = JOBS[job]
        checks = (Assertion("sane", good),)
        written = tuple(Dataset("db", name, rows=100.0, assertions=checks) for name in outputs)
        for kind in ("START", state):
            event = RunEvent(
                "ns",
                job,
                f"{job}-{self.count}",
                kind,  # type: ignore[arg-type]
                self.company.now,
                inputs=tuple(Dataset("db", name) for name in inputs),
                outputs=written if kind != "START" else (),
            )
            self.company.tell(event)

    @initialize()
    def everything_ran_once(self) -> None:
        for job in JOBS:
            self.run(job, good=True)
        self.company.settle()

    @rule(job=jobs, good=st.booleans())
    def a_job_writes(self, job: str, good: bool) -> None:
        self.run(job, good)

    @rule(job=jobs)
    def a_job_fails(self, job: str) -> None:
        self.run(job, good=True, state="FAIL")

    @rule(number=st.integers(0, 2), count=st.integers(1, 20))
    def messages_arrive(self, number: int, count: int) -> None:
        for _ in range(count):
            self.company.deliver(number)

    @rule(seconds=st.sampled_from([5.0, MINUTE, 11 * MINUTE, HOUR, 2.5 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        if seconds > MINUTE:
            self.company.settle()  # no message is under way for hours
        until = self.company.now + seconds
        while self.company.now < until:
            self.company.tick(min(self.company.now + MINUTE, until))

    @rule(entity=entities, state=st.sampled_from(["force_open", "force_closed", "none"]), lasts=st.floats(1, 7_200))
    def somebody_overrules(self, entity: str, state: str, lasts: float) -> None:
        self.count += 1
        until = self.company.now + lasts
        self.company.command(
            SetOverride(id=f"o{self.count}", by="alice", entity=entity, state=state, until=until)  # type: ignore[arg-type]
        )

    @rule(entity=entities, by=st.sampled_from(["alice", "bob"]))
    def somebody_asks_to_probe(self, entity: str, by: str) -> None:
        self.count += 1
        self.company.command(RequestProbe(id=f"p{self.count}", by=by, entity=entity, lasts=600.0))

    @rule(entity=entities, verdict=st.sampled_from(["expected_once", "confirmed", "false_positive"]))
    def somebody_judges(self, entity: str, verdict: str) -> None:
        self.count += 1
        self.company.command(
            Feedback(id=f"f{self.count}", by="bob", entity=entity, verdict=verdict)  # type: ignore[arg-type]
        )

    @precondition(lambda self: self.count % 5 == 0)
    @rule()
    def all_arrives_and_only_those_are_held_who_read_what_is_bad(self) -> None:
        company = self.company
        company.settle()
        roots = {key for key, entity in company.entities().items() if entity.lineage.holding}
        held = {key for key, e in company.entities().items() if any(h.stops for h in e.judgement.holds.values())}

        assert held - roots == reached(roots) - roots
        assert company.held() == held

    @invariant()
    def every_move_is_legal_and_none_is_lost(self) -> None:
        state: dict[str, State] = {}
        for emission in self.company.said:
            change = emission.data
            if isinstance(change, BreakerChange):
                assert (change.from_state, change.to_state) in LEGAL
                assert state.get(change.entity, State.CLOSED) is change.from_state
                state[change.entity] = change.to_state

    @invariant()
    def one_may_probe_at_a_time(self) -> None:
        holder: dict[str, str] = {}
        for emission in self.company.said:
            value = emission.data
            if isinstance(value, BreakerValue):
                now = value.probe.holder if value.probe is not None else ""
                before = holder.get(value.entity, "")
                assert before in ("", now) or now == ""
                assert not now or value.own is None or value.own.state is State.HALF_OPEN
                holder[value.entity] = now

    @invariant()
    def what_was_published_is_what_is_so(self) -> None:
        published = self.company.breakers()
        for key, entity in self.company.entities().items():
            value, judgement = published[key], entity.judgement
            told = signal(judgement.breaker, judgement.override, judgement.holds)

            assert (value.state, value.reason, value.since) == (told.state, told.reason, told.since)
            assert value.breaker() == judgement.breaker
            assert {held.root: replace(held.held(), senders=()) for held in value.held_by} == {
                root: replace(held, senders=()) for root, held in judgement.holds.items() if held.active
            }

    def teardown(self) -> None:
        """The same log gives the same again; and when all is good for a while, nothing is left."""
        company = self.company
        company.settle()
        for reload in (False, True):
            for before, after in zip(company.shards, company.again(reload), strict=True):
                assert before.digest == after.digest
                assert before.snapshots() == after.snapshots()
        company.wait(3 * HOUR, every=10 * MINUTE)  # overrides and probes are over
        for _ in range(3):
            for job in JOBS:
                self.run(job, good=True)
            company.wait(HOUR, every=5 * MINUTE)

        assert company.open() == set()
        assert company.held() == set()
        assert company.board.open == {}
        assert LEASE < DAY


TestSmallCompany = SmallCompany.TestCase
TestSmallCompany.settings = examples(0.3, stateful_step_count=30)
