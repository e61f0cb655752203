"""One run of the demo: the company and its clock on one side, the real ingest and worker on the other.

Time is simulated. The company's clock runs `SPEED` times as fast as the real one, if nothing else is said, and only as
far as its events are in the broker, which is what a tick claims. It waits while Detector is more than `MAX_LEAD`
behind, so that the story does not hang on how fast the machine is. It lies in the past, since ticks from the future are
ignored.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from detector.core.events import RunEvent
from detector.demo.company import DAY, JOBS, MINUTE, history
from detector.demo.link import Breakers, Clock, Listener, Outlet
from detector.demo.screen import Screen, Status
from detector.demo.simulation import Sent, Simulation
from detector.demo.story import Story
from detector.errors import DetectorError

BEGIN = datetime(2026, 3, 3, tzinfo=UTC).timestamp()
HOURLY_HISTORY, DAILY_HISTORY = 14 * DAY, 42 * DAY
SPEED = 600.0
TICK = 30.0
MAX_LEAD = 6 * MINUTE
LONGEST_STEP = 1 * MINUTE
TO_BE_FOUND = 45 * MINUTE
PATIENCE = 6.0
LOOP = 0.015
RATE_OVER = 5.0
WARM_UP_WITHIN = 120.0


def past(seed: int) -> list[RunEvent]:
    """What happened before the demo begins: two weeks of the hourly jobs, six of the daily ones."""
    hourly = history(seed, BEGIN - HOURLY_HISTORY, BEGIN, tuple(job for job in JOBS if job.hour is None))
    daily = history(seed, BEGIN - DAILY_HISTORY, BEGIN, tuple(job for job in JOBS if job.hour is not None))
    return sorted([*hourly, *daily], key=lambda event: event.event_time)


@dataclass
class Demo:
    """`daemon` is a thread's work: it runs Detector by the clock until `stop` is set. `seconds` None: for ever.

    `speed` is simulated seconds for each real one; whoever sets it to 0 holds the company as it is.
    """

    seed: int
    seconds: float | None
    daemon: Callable[[Clock, threading.Event], None]
    connect: Callable[[Clock], tuple[Outlet, Listener, Breakers]]
    screen: Screen
    speed: float = SPEED
    story: Story = field(default_factory=Story)
    status: Status = field(default_factory=lambda: Status("starting Detector", BEGIN - DAILY_HISTORY, SPEED))
    _stop: threading.Event = field(default_factory=threading.Event)
    _clock: Clock = field(default_factory=lambda: Clock(BEGIN - DAILY_HISTORY - DAY))
    _failure: BaseException | None = None
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        """The screen tells the speed."""
        self.status.speed = self.speed

    def stop(self) -> None:
        """Let `run` end."""
        self._stop.set()

    def run(self) -> None:
        """Replay the history, then live until the time is over or somebody interrupts. Raises what ended Detector."""
        self._outlet, self._listener, self._breakers = self.connect(self._clock)
        thread = threading.Thread(target=self._daemon, name="detector", daemon=True)
        thread.start()
        try:
            self._warm_up()
            self._live()
        except KeyboardInterrupt:
            self.status.phase = "interrupted"
        finally:
            self._stop.set()
            thread.join(15)
            self._listener.close()
        if self._failure is not None:
            raise self._failure

    def _daemon(self) -> None:
        try:
            self.daemon(self._clock, self._stop)
        except BaseException as error:  # noqa: BLE001 - it must end the demo, not only its thread
            self._failure = error
        self._stop.set()

    # ------------------------------------------------------------ history

    def _warm_up(self) -> None:
        began = time.monotonic()
        self._wait_for(self._clock.now, ticking=True)
        self.status.phase = "learning from six weeks of history"
        events, upto = past(self.seed), BEGIN - DAILY_HISTORY
        while upto < BEGIN:
            before, upto = upto, min(upto + 7 * DAY, BEGIN)
            week = [event for event in events if before <= event.event_time < upto]
            self._outlet.send(week)
            self.story.events += len(week)
            self._clock.set(upto)
            self._turn()
        self._wait_for(BEGIN)
        took = time.monotonic() - began
        self.status.warmed_up = f"{len(events):,} events of six weeks were learned from in {took:.1f} s."

    def _wait_for(self, moment: float, ticking: bool = False) -> None:
        """Until Detector's time has come to a moment. `ticking`: the clock goes on, for partitions that join late."""
        deadline = time.monotonic() + WARM_UP_WITHIN
        while self._listener.clock < moment and not self._stop.wait(LOOP):
            if time.monotonic() > deadline:
                raise DetectorError(f"Detector did not learn its history within {WARM_UP_WITHIN:.0f} s")
            if ticking:
                self._clock.set(self._clock.now + TICK)
            self._turn()

    # ------------------------------------------------------------ live

    def _live(self) -> None:
        self.status.phase = "live"
        last_fault = float("inf") if self.seconds is None else BEGIN + self.seconds * self.speed - TO_BE_FOUND
        simulation = Simulation(self.seed, BEGIN, last_fault)
        began = before = time.monotonic()
        while not self._stop.wait(LOOP) and not self._over(time.monotonic() - began):
            now = time.monotonic()
            step, before = min((now - before) * self.speed, LONGEST_STEP), now
            if self._clock.now - self._listener.clock <= MAX_LEAD and self._clock.now < time.time() - DAY:
                self._advance(simulation, self._clock.now + step)
            self._turn()

    def _over(self, passed: float) -> bool:
        if self.seconds is None:
            return False
        self.status.left = self.seconds - passed
        return passed >= self.seconds + PATIENCE or (passed >= self.seconds and not self.story.pending)

    def _advance(self, simulation: Simulation, upto: float) -> None:
        happenings = simulation.advance(upto, self._breakers)
        self.story.happened(happenings)
        self._outlet.send(happening.event for happening in happenings if isinstance(happening, Sent))
        self._clock.set(upto)

    def _turn(self) -> None:
        """Hear what Detector says, and show it."""
        now = time.monotonic()
        for event in self._listener.heard():
            self.story.heard(event, self._clock.passed, now)
        self._recent.append((now, self.story.events))
        while now - self._recent[0][0] > RATE_OVER:
            self._recent.popleft()
        since, events = self._recent[0]
        self.status.rate = (self.story.events - events) / max(now - since, 1.0)
        self.status.simulated = self._clock.now
        self.status.lag = self._clock.now - self._listener.clock
        self.screen.show(self.story, self.status)
