"""All pipelines: what is held back, what is wrong, what is found."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from deploy.grafana.boards.parts import (
    BLUE,
    GREEN,
    RED,
    YELLOW,
    Ask,
    Panel,
    begun,
    grew,
    lines,
    listed,
    marks,
    number,
    of,
    or_none,
    quantiles,
)

ONE = "/d/detector-pipeline?${datasource:queryparam}&${job:queryparam}&var-entity=${__value.raw}"
WORSE = ((None, GREEN), (1, YELLOW), (10, RED))
UNSEEN = of("detector_incidents_open", 'acknowledged="false"')
STANDING = of("detector_breaker_state", 'state!="closed"')
SHUT = of("detector_breakers_not_closed", 'mode="enforce"')
OPENED = grew("detector_breaker_transitions_total", "mode", 'to="open"', over="$__interval")


def board() -> Dashboard:
    """The dashboard, in the order of the questions that a morning has."""
    about = "Which pipelines are held back, what is wrong, and what was found lately."
    made = begun("detector-pipelines", "Detector: all pipelines", about, "incidents.md")
    made = made.annotation(marks("a breaker opened", f"{OPENED} > 0", RED))
    for panel in (*_now(), *_held()):
        made = made.with_panel(panel)
    for title, panels in (("What is found", _found()), ("What people say", _people())):
        made = made.with_row(Row(title))
        for panel in panels:
            made = made.with_panel(panel)
    return made


def _now() -> Sequence[Panel]:
    return (
        number(
            "How many are watched?",
            "Jobs and datasets that Detector knows. One that is silent for 90 days is forgotten.",
            Ask(f"sum by (kind) ({of('detector_entities')})", "{{kind}}s"),
        ),
        number(
            "How many are held back?",
            "Breakers in mode enforce that are not closed: found bad themselves, held by upstream, or by a person.",
            Ask(f"sum({SHUT}) or vector(0)"),
            steps=WORSE,
        ),
        number(
            "How many incidents are open?",
            "Findings of one cause are one incident. `detector incidents list` names them.",
            Ask(f"sum({of('detector_incidents_open')}) or vector(0)"),
            steps=WORSE,
        ),
        number(
            "Of these, how many does nobody look after?",
            "Incidents that nobody has acknowledged (`detector incidents ack`).",
            Ask(f"sum({UNSEEN}) or vector(0)"),
            steps=WORSE,
        ),
        number(
            "How many anomalies go on?",
            "By the worst severity that each had.",
            Ask(or_none(f"sum by (severity) ({of('detector_anomalies_open')})", "severity"), "{{severity}}"),
            steps=WORSE,
        ),
        number(
            "Can this be believed?",
            "How far time in the log is behind. Above two minutes breakers are unknown, and nothing is found late.",
            Ask(f"max({of('detector_time_lag_seconds')})"),
            unit="s",
            steps=((None, GREEN), (30, YELLOW), (120, RED)),
        ),
    )


def _held() -> Sequence[Panel]:
    return (
        lines(
            "What is held back, and why?",
            "own: found bad itself. upstream: it would read what is bad. person: somebody has said so.",
            Ask(or_none(f"sum by (why) ({SHUT})", "why"), "{{why}}"),
            bars=True,
        ),
        listed(
            "Which are held back now?",
            "Breakers that are not closed; at most a thousand of each process. Follow an entity to see its runs.",
            Ask(f"max by (entity, state, mode) ({STANDING}) == 1"),
            empty="All breakers are closed",
            link=ONE,
        ),
        listed(
            "Where do anomalies go on?",
            "Entities with anomalies that are not over, whether or not their breaker is open.",
            Ask(f"max by (entity, severity) ({of('detector_entity_anomalies')}) > 0"),
            empty="No anomaly goes on",
            link=ONE,
        ),
        lines(
            "How do breakers move?",
            "Moves by the state that they came to. Many that open and close in turn: see the policy, or the wait.",
            Ask(or_none(grew("detector_breaker_transitions_total", "to"), "to"), "{{to}}"),
            bars=True,
        ),
    )


def _found() -> Sequence[Panel]:
    return (
        lines(
            "What is found, by check?",
            "Anomalies that began. One check that stands out everywhere: see `detector rules`.",
            Ask(or_none(grew("detector_anomalies_total", "check"), "check"), "{{check}}"),
            bars=True,
        ),
        lines(
            "How bad is what is found?",
            "Anomalies that began, by severity.",
            Ask(or_none(grew("detector_anomalies_total", "severity"), "severity"), "{{severity}}"),
            bars=True,
        ),
        lines(
            "How many runs are judged, and how do they end?",
            "Runs, loads, profiles and windows, by what was found in them. Without runs nothing can be found.",
            Ask(or_none(grew("detector_runs_judged_total", "kind, severity"), "kind"), "{{kind}} {{severity}}"),
            bars=True,
        ),
        lines(
            "How soon is it told?",
            "From the time that an event was in the log until the verdict was committed.",
            *quantiles("detector_verdict_delay_seconds"),
            unit="s",
        ),
        lines(
            "What becomes of incidents?",
            "Incidents that opened, changed, came back, joined another, or are over.",
            Ask(or_none(grew("detector_incidents_total", "phase"), "phase"), "{{phase}}"),
            bars=True,
        ),
        lines(
            "Who waits for whom?",
            "Entities that were held because of something upstream, and let go.",
            Ask(or_none(grew("detector_breaker_holds_total", "change"), "change"), "{{change}}"),
            bars=True,
        ),
    )


def _people() -> Sequence[Panel]:
    feedback = of("detector_feedback_total")
    return (
        number(
            "What did people say of anomalies?",
            "Verdicts in the time that is shown. Many false alarms of one check: see `detector rules`.",
            Ask(f"sum by (verdict) (increase({feedback}[$__range]))", "{{verdict}}"),
            span=12,
        ),
        number(
            "Were deadlines met?",
            "Declared deadlines that passed in the time that is shown. By month and entity: `detector sla`.",
            Ask(f"sum by (outcome) (increase({of('detector_deadlines_total')}[$__range]))", "{{outcome}}"),
            span=6,
        ),
        number(
            "Whom would shadow mode have stopped?",
            "Breakers in shadow that would have opened in the time that is shown. See `detector breaker report`.",
            Ask(f"sum(increase({of('detector_breaker_shadow_opens_total')}[$__range]))"),
            steps=((None, BLUE),),
            span=6,
        ),
    )
