"""docs/checks.md has every kind of check with all of its parameters, and its examples are right."""

import re
import textwrap
from pathlib import Path

import msgspec
import pytest

from detector.codecs import Decoder
from detector.config import load
from detector.core.declared import KINDS
from detector.core.declared.check import OfLoad
from detector.core.events import Profile
from detector.errors import ConfigError
from detector.settings import rules_of
from tests.codecs.records import record
from tests.core.world import World, anomalies

DOCS = Path(__file__).parent.parent / "docs"
PAGE = (DOCS / "checks.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|", PAGE, re.MULTILINE))
WRONG = re.findall(r"```yaml\n([^`]*)```\n```text\n([^`]*)\n```", PAGE)
EXAMPLES = re.findall(r"```yaml\n([^`]*)```\n(?!```text)", PAGE + (DOCS / "sla.md").read_text(encoding="utf-8"))


def test_the_table_has_every_kind() -> None:
    assert ROWS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_has_every_parameter_of_a_kind(kind: str) -> None:
    own = [field.name for field in msgspec.structs.fields(KINDS[kind]) if field.name not in OfLoad.__struct_fields__]

    assert re.findall(r"`(\w+)`", ROWS[kind]) == own


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: " ".join(text.split())[:40])
def test_an_example_is_right(text: str) -> None:
    config = load(text)

    assert rules_of(config).overrides


def test_the_profile_on_the_page_is_held_against_the_checks_that_need_its_numbers() -> None:
    sent = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0]
    declared = """
      rules:
        - match: dataset:postgres://db:5432/shop.public.orders
          checks:
            - {kind: matches, column: contact, pattern: email, at_least: 0.99}
            - {kind: referential, column: customer_id, dataset: customers, key: id, at_most: 0.001}
    """
    read = Decoder().decode(record(textwrap.dedent(sent).encode()))
    assert isinstance(read, Profile)
    said = anomalies(World(rules_of(load(textwrap.dedent(declared)))).tell(read))

    assert [(one.check, one.summary) for one in said] == [
        (
            "declared:referential(customer_id, customers.id)",
            "customer_id: 0.1176 % of the values are missing in customers.id, declared at most 0.1 %",
        )
    ]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_what_is_wrong_is_refused_in_these_words(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rules_of(load(text))

    assert str(caught.value) == said
