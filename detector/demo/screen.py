"""What a person sees of the demo: a live view on a terminal, plain lines when piped, a short summary in the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from detector.core.text import duration
from detector.demo.company import DATASETS, JOBS
from detector.demo.faults import WHAT
from detector.demo.story import Case, Line, Story, Tone, delay_of, short

WIDE = 110
REDRAW = 0.1
MARKS: dict[Tone, tuple[str, str, str]] = {
    "fault": ("✗", "bold red", "injected"),
    "found": ("✓", "bold green", "found"),
    "symptom": ("·", "green", "symptom"),
    "alarm": ("!", "bold yellow", "false alarm"),
    "open": ("■", "red", "opened"),
    "probe": ("◧", "yellow", "half-open"),
    "closed": ("□", "cyan", "closed"),
    "held": ("⏸", "bold blue", "protected"),
    "call": ("☎", "bold magenta", "call"),
    "over": ("○", "cyan", "over"),
    "plan": ("↻", "blue", "to redo"),
    "plain": (" ", "default", ""),
}


@dataclass(slots=True)
class Status:
    """What the demo knows of itself just now. Times in seconds; `rate` is events a real second, of late.

    `address` is where Detector is served, `page` that of its page with a token for it.
    """

    phase: str
    simulated: float
    speed: float
    rate: float = 0.0
    lag: float = 0.0
    warmed_up: str = ""
    address: str = ""
    page: str = ""
    left: float | None = None


class Screen(Protocol):
    """Where the story is shown."""

    def show(self, story: Story, status: Status) -> None:
        """Bring what is shown up to date."""


@contextmanager
def opened(console: Console) -> Iterator[Screen]:
    """The live view on a terminal, else plain lines."""
    if not console.is_terminal:
        yield Lines(console)
        return
    with Live(console=console, auto_refresh=False, screen=True, vertical_overflow="crop") as live:
        yield View(live)


class Lines:
    """One line for each thing that happens."""

    def __init__(self, console: Console) -> None:
        self._console, self._told, self._phase, self._page = console, 0, "", ""

    def show(self, story: Story, status: Status) -> None:
        """Write what is new."""
        if status.phase != self._phase:
            self._phase = status.phase
            self._console.print(Text(f"-- {status.phase}"), soft_wrap=True)
        if status.page != self._page:
            self._page = status.page
            self._console.print(Text(f"-- the page: {status.page}"), soft_wrap=True)
        new = min(story.told - self._told, len(story.lines))
        self._told = story.told
        for line in list(story.lines)[len(story.lines) - new :]:
            self._console.print(Text(f"{_when(line.at)}  {MARKS[line.tone][2]:<11}  {line.text}"), soft_wrap=True)


class View:
    """The whole terminal: figures above, the faults in the middle, what happens below."""

    def __init__(self, live: Live) -> None:
        self._live, self._drawn = live, 0.0

    def show(self, story: Story, status: Status) -> None:
        """Draw anew, as often as eyes can follow."""
        now = time.monotonic()
        if now - self._drawn < REDRAW:
            return
        self._drawn = now
        width, height = self._live.console.size
        self._live.update(render(story, status, width, height), refresh=True)


def render(story: Story, status: Status, width: int, height: int) -> RenderableType:
    """The view, on a terminal of this size."""
    rows = max(3, min(len(story.cases), (height - 11) // 2))
    where = [Text(f"  {status.page}", "bright_blue", no_wrap=True, overflow="fold")] if status.page else []
    lines = max(3, height - rows - 10 - len(where))
    cases = list(story.cases.values())[-rows:]
    return Group(_head(story, status), *where, _faults(cases, width >= WIDE), _feed(list(story.lines)[-lines:], lines))


def _head(story: Story, status: Status) -> Panel:
    figures = Table.grid(expand=True)
    for _ in range(5):
        figures.add_column(justify="center", ratio=1)
    alarms = len(story.judge.false_alarms)
    figures.add_row(
        _figure(len(story.cases), "injected", "red"),
        _figure(len(story.judge.found), "found", "green"),
        _figure(alarms, "false alarms", "yellow" if alarms else "green"),
        _figure(story.opened, "breakers opened", "red"),
        _figure(story.protected, "protected", "blue"),
    )
    ends = "Ctrl-C ends it" if status.left is None else f"{max(status.left, 0):.0f} s left"
    title = f"[bold]{len(JOBS)} jobs, {len(DATASETS)} datasets[/]   {status.phase}   [bold]{_when(status.simulated)}[/]"
    pace = f"1 s = {duration(status.speed)}   {status.rate:,.0f} events/s   {ends}"
    return Panel(figures, title=title, subtitle=pace, border_style="bright_black")


def _figure(value: int, what: str, colour: str) -> Text:
    return Text.assemble((f"{value} ", f"bold {colour}"), (what, "default"))


def _faults(cases: list[Case], wide: bool) -> Table:
    table = Table(expand=True, box=None, header_style="bright_black", pad_edge=False, padding=(0, 1))
    table.add_column("time", no_wrap=True)
    table.add_column("what goes wrong", no_wrap=True)
    table.add_column("where", no_wrap=True, min_width=20, overflow="ellipsis")
    table.add_column("found after", no_wrap=True)
    table.add_column("breakers", no_wrap=True)
    table.add_column("protected", no_wrap=True, ratio=1, overflow="ellipsis")
    for case in cases:
        table.add_row(*_row(case, wide))
    return table


def _row(case: Case, wide: bool) -> tuple[Text, ...]:
    fault = case.fault
    waits = Text("not yet", "yellow") if case.finding is None else Text(delay_of(case), "bold green")
    return (
        Text(_clock(fault.injected_at or 0.0), "bright_black"),
        Text(WHAT[fault.kind], "red"),
        Text(short(fault.entity)),
        waits,
        _breakers(case),
        _protected(case, wide),
    )


def _protected(case: Case, wide: bool) -> Text:
    if not case.protected:
        return Text("-", "bright_black")
    return Text(
        ", ".join(short(key) for key in sorted(case.protected)) if wide else f"{len(case.protected)} jobs", "blue"
    )


def _breakers(case: Case) -> Text:
    if not case.breakers:
        return Text("-", "bright_black")
    if case.open:
        return Text(f"{len(case.open)} open", "red")
    return Text("closed again", "cyan")


def _feed(lines: list[Line], height: int) -> Panel:
    told = Text(no_wrap=True, overflow="ellipsis")
    for line in lines:
        mark, style, word = MARKS[line.tone]
        told.append(f"{_clock(line.at)} ", "bright_black").append(f"{mark} {word:<11} ", style).append(f"{line.text}\n")
    told.rstrip()
    return Panel(told, height=height + 2, border_style="bright_black", title="what happens")


def summary(story: Story, status: Status, next_steps: str) -> Iterator[str]:
    """The end of the demo in a few lines of plain text."""
    cases = list(story.cases.values())
    found = [case for case in cases if case.finding is not None]
    yield f"Faults injected: {len(cases)}; found: {len(found)}; false alarms: {len(story.judge.false_alarms)}."
    for case in cases:
        yield _told(case)
    yield (
        f"Breakers opened: {story.opened}; runs of other jobs kept from bad input: {story.protected};"
        f" people called: {story.calls} times."
    )
    if status.warmed_up:
        yield status.warmed_up
    yield next_steps


def _told(case: Case) -> str:
    fault, delay = case.fault, delay_of(case)
    found = "NOT FOUND" if not delay else f"found {delay if delay == 'at once' else 'after ' + delay}"
    spared = ", ".join(short(key) for key in sorted(case.protected))
    what = f"  {_clock(fault.injected_at or 0.0)}  {short(fault.entity)}: {WHAT[fault.kind]}; {found}"
    return f"{what}; protected: {spared}" if spared else what


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%a %d %b %H:%M")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")
