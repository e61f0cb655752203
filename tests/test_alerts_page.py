"""docs/alerts.md: the program that verifies a signature does so, the labels are those that are sent."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detector.sinks.alertmanager import body_of, labels_of
from detector.sinks.webhook import message, signed
from tests.contracts.sinks import NOW, SECRET, alert

PAGE = (Path(__file__).parent.parent / "docs" / "alerts.md").read_text(encoding="utf-8")


def verify() -> Callable[..., None]:
    (program,) = re.findall(r"<!-- run -->\n+```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)
    return names["verify"]


def test_the_program_of_the_page_takes_what_is_signed() -> None:
    body, headers = message(alert(), "/detector", "structured")

    verify()(SECRET, {**headers, **signed(SECRET, "i1", int(NOW), body)}, body, NOW + 5)


@pytest.mark.parametrize(
    ("secret", "more", "after", "said"),
    [
        pytest.param(SECRET.replace("M", "N"), b"", 5, "not signed", id="another secret"),
        pytest.param(SECRET, b" ", 5, "not signed", id="another body"),
        pytest.param(SECRET, b"", 301, "too old", id="a message of long ago"),
    ],
)
def test_the_program_of_the_page_refuses(secret: str, more: bytes, after: float, said: str) -> None:
    body, headers = message(alert(), "/detector", "structured")
    headers |= signed(SECRET, "i1", int(NOW), body)

    with pytest.raises(ValueError, match=said):
        verify()(secret, headers, body + more, NOW + after)


def test_the_page_has_the_labels_and_annotations_that_are_sent() -> None:
    told = alert(
        acknowledged_by="ada",
        sections={"What broke": "a", "Why we think so": "b", "Who is hit": "c", "What to do": "d"},
    )
    labels = {name for name, _ in labels_of(told, {})}
    annotations = set(body_of(told, {}, NOW, NOW)["annotations"])
    table = PAGE.partition("## Alertmanager")[2].partition("## PagerDuty")[0]

    assert labels == set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert annotations <= set(re.findall(r"`(\w+)`", table))
