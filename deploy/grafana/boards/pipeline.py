"""One pipeline: may it go on, what was expected of its runs, and what they came to."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.boards.parts import (
    BLUE,
    GREEN,
    GREY,
    RED,
    YELLOW,
    Ask,
    band,
    begun,
    choice,
    lines,
    marks,
    number,
    of,
    timeline,
)

THIS = 'entity="$entity"'
STATES = {0: ("closed", GREEN), 1: ("half-open", YELLOW), 2: ("open", RED), 3: ("unknown", GREY)}
_CODES = {"closed": 0, "half_open": 1, "open": 2, "unknown": 3}
_SERIES = (of("detector_breaker_state", THIS, f'state="{state}"') + f" * {code}" for state, code in _CODES.items())
STATE = f"max({' or '.join(_SERIES)}) or vector(0)"
ENDED = f"max({of('detector_run_end_timestamp_seconds', THIS)})"
WORSE = ((None, GREEN), (1, YELLOW), (5, RED))


def board() -> Dashboard:
    """The dashboard of the entity that is chosen."""
    about = "Entities that are unhealthy, and those named in `metrics.entities`. The history of all is in the HTTP API."
    made = begun("detector-pipeline", "Detector: one pipeline", about, "incidents.md").with_variable(
        choice("entity", "Job or dataset", f"label_values({of('detector_breaker_state')}, entity)")
    )
    made = made.annotation(marks("a run ended", f"changes({ENDED}[$__interval:]) > 0", BLUE))
    for panel in (
        number(
            "May it go on?",
            "Its breaker. Who obeys it is told so by `detector check`; mode shadow and off stop nobody.",
            Ask(STATE),
            words=STATES,
        ),
        number(
            "What is wrong with it?",
            "Anomalies that go on. `detector incidents list` says what they are.",
            Ask(f"sum(max by (severity) ({of('detector_entity_anomalies', THIS)})) or vector(0)"),
            steps=WORSE,
        ),
        number(
            "When did it last end?",
            "The last run, load or profile that was judged, good or bad.",
            Ask(f"{ENDED} * 1000"),
            unit="dateTimeFromNow",
        ),
        number(
            "When was it last good?",
            "The last one that had nothing wrong with it.",
            Ask(f"max({of('detector_last_success_timestamp_seconds', THIS)}) * 1000"),
            unit="dateTimeFromNow",
        ),
        number(
            "When is the next one due?",
            "By what was learned of its schedule, or by its deadline.",
            Ask(f"max({of('detector_expected_next_update_timestamp_seconds', THIS)}) * 1000"),
            unit="dateTimeFromNow",
        ),
        number(
            "How was its last run judged?",
            "The worst that was found in the last run, load or profile.",
            Ask(f"max({of('detector_run_severity', THIS)})"),
            words={0: ("good", GREEN), 1: ("warning", YELLOW), 2: ("critical", RED)},
        ),
        timeline("When was it shut?", "The state of its breaker over time.", Ask(STATE, "breaker"), words=STATES),
        lines(
            "How often does it run?",
            "Runs, loads and profiles that were judged.",
            Ask(f"changes({ENDED}[$__interval:])", "ended"),
            bars=True,
        ),
        band(
            "How many rows, and how many were expected?",
            "What the last run wrote, or the last load held. Green: the band in which it is usual.",
            "detector_run_rows",
            "short",
        ),
        band(
            "How long did it take, and how long was expected?",
            "Duration of the last run. Too fast is as suspicious as too slow.",
            "detector_run_duration_seconds",
            "s",
        ),
    ):
        made = made.with_panel(panel)
    return made
