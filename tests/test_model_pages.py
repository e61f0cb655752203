"""The pages in docs/models: each says what it has to, and its pictures are what the code judges and draws now."""

import re
from pathlib import Path

import pytest

from docs.pictures.models import FOLDER, PICTURES

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted((DOCS / "models").glob("*.md"))
HEADINGS = ("assumes", "finds", "does not find", "Parameters", "When to use it")

# What the pages say of the pictures: how many values after it began each thing is told; what is not here is not told.
TOLD = {
    "model-baseline": {"a third of a load": 0, "a spike": 0, "a new level": 0, "2 % less each day": 14},
    "model-dense": {"two hours of outage": 0, "one value": 0, "as by day, at midnight": 0},
    "model-band": {"half": 0, "a new level": 0},
    "model-river": {"a new level": 3, "and back": 2},
    "model-alone": {},
    "model-together": {"30 % were lost": 0},
}
FALSE = {"model-dense": 3}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_code_draws(name: str, update_golden: bool) -> None:
    path, drawn = FOLDER / f"{name}.svg", PICTURES[name]().drawn()
    if update_golden:
        path.write_text(drawn, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == drawn, "pytest tests/test_model_pages.py --update-golden"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_shows_what_its_page_says(name: str) -> None:
    picture = PICTURES[name]()
    times = [one.row.at for one in picture.judged]
    alerts = [place for place, one in enumerate(picture.judged) if one.reading.alert]
    begins = [times.index(at) for at, _ in picture.notes]
    ends = [*begins[1:], len(times)]
    told = {
        words: next(place for place in alerts if place >= begin) - begin
        for (_, words), begin, end in zip(picture.notes, begins, ends, strict=True)
        if any(begin <= place < end for place in alerts)
    }

    assert told == TOLD[name]
    assert sum(place < begins[0] for place in alerts) == FALSE.get(name, 0)


def test_every_picture_is_on_a_page_and_has_words_for_who_cannot_see_it() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = re.findall(r"!\[(.+?)\]\(\.\./pictures/(.+?)\.svg\)", text)

    assert {name for _, name in shown} == set(PICTURES)
    assert min(len(words) for words, _ in shown) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_page_says_what_the_model_assumes_finds_and_does_not(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)

    assert [word for word in HEADINGS if not any(heading.endswith(word) for heading in headings)] == []
    assert "](../pictures/model-" in text
