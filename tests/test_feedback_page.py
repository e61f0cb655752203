"""docs/feedback.md: its examples are what the code says, and its figures are those of the code."""

import re
from pathlib import Path
from typing import get_args

import pytest

from detector.core.commands import Verdict
from detector.core.emissions import Emission
from detector.core.lessons import KEEP_TOLD
from detector.core.models import kernel, taught
from detector.core.teaching import DENSE_HOLDS
from tests.core.test_teaching import KINDS, LEVEL, Series
from tests.core.world import anomalies

PAGE = Path(__file__).parent.parent / "docs" / "feedback.md"
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
ALIKE, BEFORE = "the next load like it", "the next load as before"


def answer(said: list[Emission]) -> str:
    return "; ".join(one.summary for one in anomalies(said)) or "silent"


def example(verdict: Verdict) -> str:
    """A load, what a person says of it, and the next two."""
    series = Series(KINDS["daily"])
    x = 9_300.0 if verdict == "missed" else 6_000.0
    lines = [(f"a load of {x:,.0f} rows", answer(series.see(x)))]
    said, over = series.say(verdict)
    lines += [(f"you say {verdict}", said), *[("", one.summary) for one in over]]
    for words, value in ((ALIKE, x), (BEFORE, LEVEL)):
        lines.append((words, answer(series.see(value))))
    return "".join(f"{words:<25}{told}".rstrip() + "\n" for words, told in lines)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_an_example_is_what_the_code_says(verdict: Verdict, update_golden: bool) -> None:
    block = re.compile(rf"(<!-- example: {verdict} -->\n```\n)(.*?)(```)", re.DOTALL)
    text = PAGE.read_text(encoding="utf-8")
    told = example(verdict)
    if update_golden:
        text = block.sub(lambda found: found[1] + told + found[3], text)
        PAGE.write_text(text, encoding="utf-8")

    found = block.search(text)
    assert found
    assert found[2] == told, "pytest tests/test_feedback_page.py --update-golden -p no:randomly"


@pytest.mark.parametrize(
    "words",
    [
        f"for the last {KEEP_TOLD} metrics",
        f"At least {taught.LEAST:g}, at most {taught.MOST:g}",
        f"just enough for it: {taught.WIDER:g} times",
        f"just enough for it: {taught.NARROWER:g} times",
        f"{taught.PATIENCE * kernel.NEW_NORMAL_AFTER} values in a row instead of {kernel.NEW_NORMAL_AFTER}",
        f"{DENSE_HOLDS} reports",
    ],
)
def test_a_figure_on_the_page_is_that_of_the_code(words: str) -> None:
    assert words in PAGE.read_text(encoding="utf-8")
