"""All that is known of one breaker, by name."""

from detector.core.text import moment
from detector.view import Answer


def facts(answer: Answer) -> list[tuple[str, str]]:
    """What there is to say of a breaker, beyond the sentence."""
    value = answer.breaker
    if value is None:
        return []
    told = [
        ("state", value.state.value.replace("_", "-") + (f" since {moment(value.since)}" if value.sequence else "")),
        ("mode", value.mode),
        ("when unknown", value.on_unknown),
        ("reason", value.reason),
        ("only", ", ".join(value.scope)),
        ("own state", _own(answer)),
        ("override", _overridden(answer)),
        *(("held by", f"{held.root} since {moment(held.since)}: {' > '.join(held.path)}") for held in value.waits_for),
        ("probe", f"{value.probe.holder} until {moment(value.probe.until)}" if value.probe else ""),
        ("last good run", _last_good(answer)),
        ("cause", f"anomaly {value.cause}" if value.cause else ""),
        ("probe from", moment(value.retry_at) if value.retry_at is not None else ""),
        ("trips", f"{value.trips} without a recovery between" if value.trips else ""),
        ("changes", str(value.sequence)),
        ("partition", str(value.partition)),
    ]
    for check, episode in value.episodes.items():
        times = f", seen {episode.count} times" if episode.count > 1 else ""
        told.append((f"anomaly {check}", f"since {moment(episode.since)}{times} ({episode.id})"))
    return [(name, text) for name, text in told if text]


def _own(answer: Answer) -> str:
    """What the breaker found itself, where something else is obeyed."""
    value = answer.breaker
    if value is None or value.own is None or not (value.override or value.waits_for):
        return ""
    return value.own.state.value.replace("_", "-") + (f": {value.own.reason}" if value.own.reason else "")


def _overridden(answer: Answer) -> str:
    word = answer.breaker.override if answer.breaker else None
    if word is None:
        return ""
    return f"{word.state.replace('_', ' ')} by {word.owner} until {moment(word.until)}: {word.reason}"


def _last_good(answer: Answer) -> str:
    good = answer.breaker.last_good if answer.breaker else None
    if good is None:
        return ""
    return f"{good.run_id}, {moment(good.at)}" + (f", version {good.version}" if good.version else "")
