"""What `backtest` does, once it is clear what was asked: a history, two configurations, or a series."""

import sys
from pathlib import Path
from typing import NamedTuple

from detector.commands import histories
from detector.commands.common import configuration, found, write_line


class Columns(NamedTuple):
    """How the columns of a series are called, and what it is a series of."""

    time: str = "timestamp"
    value: str = "value"
    metric: str = "value"


def history(files: list[Path], config: Path | None, plot: Path | None, as_json: bool) -> None:
    """Events: as they are said, and on a terminal the findings once more, in a table."""
    import msgspec

    from detector import backtest, plots
    from detector.findings import Findings
    from detector.paper import save
    from detector.settings import rules_of

    settings, findings = configuration(config), Findings()
    show = write_line if as_json else histories.Lines()

    def say(line: bytes) -> None:
        show(line)
        findings(line)

    rules = rules_of(settings)
    events, summary = backtest.read(map(str, files), settings)
    backtest.judge(events, rules, summary, say)
    if as_json:
        write_line(msgspec.json.encode({"summary": summary}))
    else:
        if sys.stdout.isatty():
            histories.show_findings(findings.all())
        histories.say(histories.told(summary))
    if plot is not None:
        begin, end = (events[0].event_time, events[-1].event_time) if events else (0.0, 0.0)
        count = histories.counted(summary.findings, "anomaly", "anomalies")
        title = f"{count} in {', '.join(map(_named, files))}"
        save(plots.timeline(findings.all(), begin, end, title), str(plot))


def _named(file: Path) -> str:
    return "standard input" if str(file) == "-" else file.name


def compare(files: list[Path], config: Path | None, other: Path, as_json: bool) -> None:
    """Events, judged twice: a table on a terminal, lines of JSON elsewhere."""
    from detector import backtest

    compared = backtest.compare(map(str, files), configuration(config), configuration(other))
    a = str(found(config) or "the defaults")
    histories.show_compared(compared, a, str(other), as_json or not sys.stdout.isatty())


def series(
    csv: Path, columns: Columns, config: Path | None, out: Path | None, plot: Path | None, as_json: bool
) -> None:
    """Numbers: a score for each row where it is asked for, and what was unusual."""
    from detector import plots
    from detector import series as one_series
    from detector.paper import save
    from detector.settings import rules_of

    rules = rules_of(configuration(config))
    rows = one_series.read(str(csv), columns.time, columns.value)
    model = rules.default.model()
    model = model if columns.metric != Columns().metric else one_series.bare(model)
    judged = one_series.judge(rows, model, rules.default.calendar)
    if plot is not None:
        save(plots.series(judged, f"{columns.metric} of {_named(csv)}"), str(plot))
    if out is not None and str(out) == "-":
        one_series.write(judged, sys.stdout)
        return
    if out is not None:
        one_series.write_file(judged, str(out))
    histories.show_series(judged, one_series.episodes(judged), columns.metric, as_json)
