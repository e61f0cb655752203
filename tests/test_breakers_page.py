"""docs/breakers.md has every policy, with all its parameters as they are by default."""

import inspect
import re
from pathlib import Path

import pytest

from detector.core.policies import POLICIES

PAGE = (Path(__file__).parent.parent / "docs" / "breakers.md").read_text(encoding="utf-8")


def rows() -> dict[str, list[str]]:
    """The cells of the table of policies, by kind."""
    lines = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    return {kind: rest.split(" | ") for kind, rest in lines}


def test_the_table_has_the_policies_that_there_are() -> None:
    assert list(rows()) == list(POLICIES)


@pytest.mark.parametrize("kind", POLICIES)
def test_a_row_has_the_parameters_and_their_defaults(kind: str) -> None:
    written = dict(re.findall(r"`(\w+): (\w+)`", rows()[kind][1]))
    defaults = {name: one.default for name, one in inspect.signature(POLICIES[kind]).parameters.items()}

    assert written == {name: value if isinstance(value, str) else f"{value:g}" for name, value in defaults.items()}
