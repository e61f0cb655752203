"""What somebody is told who is called at night: a line for the telephone, a paragraph, and the page of the incident.

The words are those of `incident_page`. What counts most comes first: a telephone shows the beginning.
"""

from collections.abc import Iterator

from detector.core.incidents import Incident
from detector.core.text import jobs_and_datasets, moment, wait
from detector.incident_page import page

LONGEST = 1_024  # characters of the paragraph, which is what PagerDuty takes
TITLE = 250
NAMED = 3
SECTION = 8_000  # characters of a section of the page


def title(incident: Incident) -> str:
    """Where, and what: one line."""
    return clipped(f"{incident.root}: {_brief(incident.title)}", TITLE)


def paragraph(incident: Incident, most: int = LONGEST) -> str:
    """What broke, who is hit, what was good last, in at most so many characters: whole sentences, as long as they fit.

    The first is always there.
    """
    first, *others = _sentences(incident)
    told = clipped(first, most)
    for sentence in others:
        if len(told) + 1 + len(sentence) <= most:
            told += f" {sentence}"
    return told


def sections(incident: Incident, now: float) -> dict[str, str]:
    """The page by its headings, as `detector incidents show` has it."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in page(incident, {}, now):
        if line.style == "heading":
            heading = line.text
        elif heading:
            found.setdefault(heading, []).append(line.text.removeprefix("  "))
    return {name: clipped("\n".join(lines).strip("\n"), SECTION) for name, lines in found.items()}


def clipped(text: str, most: int) -> str:
    """A text that is not too long; three dots stand for the rest."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _sentences(incident: Incident) -> Iterator[str]:
    yield f"{incident.root}: {_brief(incident.title)}."
    if incident.state != "open":
        return
    others = list(dict.fromkeys(one.entity for one in incident.findings if one.entity != incident.root))
    if incident.affected:
        named = ", ".join(incident.affected[:NAMED])
        more = f" and {len(incident.affected) - NAMED} more" if len(incident.affected) > NAMED else ""
        yield f"{jobs_and_datasets(incident.affected)} downstream {wait(incident.affected)}: {named}{more}."
    if others:
        yield f"Also wrong: {', '.join(others[:NAMED])}{f' and {len(others) - NAMED} more' if others[NAMED:] else ''}."
    if incident.last_good_run is not None:
        when = f", {moment(incident.last_good_at)}" if incident.last_good_at is not None else ""
        yield f"Last good: run {incident.last_good_run}{when}."
    yield f"Since {moment(incident.opened)}."
    if incident.owner:
        yield f"It belongs to {incident.owner}."
    for past in incident.seen_before[:1]:
        said = f", which was {past.verdict.replace('_', ' ')}" if past.verdict else ""
        yield f"It was like this on {moment(past.opened)}{said}."
    yield f"What to do: detector incidents show {incident.id}"


def _brief(text: str) -> str:
    """Without who is downstream, which has a sentence of its own."""
    return text.partition("; downstream: ")[0].rstrip(".")
