"""docs/schemas has a JSON Schema of every event, and of commands; what the program says fits them.

`--update-golden` writes the files: of the structs, and of what docs/control-topic.md tells of each field.
"""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from jsonschema import Draft202012Validator

from detector.core.commands import AnyCommand
from detector.event_schemas import COMMAND, EVENTS, NAMES, schema
from tests.test_control_topic_page import PAGE, TYPES, events

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "schemas"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \|[^|]*\|[^|]*\| (.*) \|$", re.MULTILINE)
LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
SAID = [
    pytest.param(json.loads(line), id=f"{path.parent.name}-{number}")
    for path in sorted((ROOT / "tests" / "golden").glob("*/expected.jsonl"))
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines())
]


def meanings() -> dict[tuple[str, str], str]:
    """What the page says of each field, without its links."""
    found: dict[tuple[str, str], str] = {}
    for struct, table in re.findall(r"<!-- fields: (\w+) -->\n\|.*\n\|-.*\n((?:\|.*\n)+)", PAGE):
        found |= {(struct, field): LINK.sub(r"\1", text).strip() for field, text in ROW.findall(table)}
    return found


def examples(name: str) -> list[Any]:
    """Those of the pages: one that is of another phase fits another type."""
    if name == COMMAND:
        [block] = re.findall(r"```json\n(\{\"command\".+?)```", OPERATIONS, re.DOTALL)
        return [json.loads(block)]
    found = [json.loads(example) for heading, _, example in events() if f"`{name}`" in heading]
    return [one for one in found if "phase" not in one or f".{one['phase']}." in name]


def written(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return found


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(written(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_are_those_of_the_code(name: str, update_golden: bool) -> None:
    text = json.dumps(schema(name, examples(name), meanings()), indent=2, ensure_ascii=False) + "\n"
    path = FOLDER / f"{name}.json"
    if update_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    assert path.read_text(encoding="utf-8") == text


def test_there_is_a_schema_of_each_type_of_event_and_no_other_file() -> None:
    assert set(EVENTS) == TYPES
    assert {path.name for path in FOLDER.iterdir()} == {"README.md", *(f"{name}.json" for name in NAMES)}


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_its_examples_fit_it(name: str) -> None:
    found = written(name)
    Draft202012Validator.check_schema(found)

    assert found["$id"] == f"urn:detector:schema:{name}"
    assert found["description"]
    for example in found["examples"]:
        validator(name).validate(example)


def test_most_types_have_an_example_and_the_page_has_all_of_their_fields() -> None:
    assert sum(bool(written(name)["examples"]) for name in NAMES) >= len(TYPES) - 2
    told = meanings()
    for name in EVENTS:
        for struct, body in written(name)["$defs"].items():
            for field in body.get("properties", {}):
                assert (struct, field) in told


@pytest.mark.parametrize("line", SAID)
def test_what_is_said_fits_its_schema(line: dict[str, Any]) -> None:
    if line["data"] is not None and line["topic"] != "log":
        validator(line["type"]).validate(line["data"])


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_refuses_what_is_something_else(name: str) -> None:
    wrong: list[Any] = [{}, [], "open", None, {"entity": 5}]

    for value in wrong:
        with pytest.raises(jsonschema.ValidationError):
            validator(name).validate(value)


@pytest.mark.parametrize(
    ("change", "fits"),
    [
        pytest.param({}, True, id="an override"),
        pytest.param({"comment": "half is enough"}, True, id="with a comment"),
        pytest.param({"state": "open"}, False, id="a state that is none"),
        pytest.param({"command": "overide"}, False, id="a command that is none"),
        pytest.param({"entity": "orders"}, False, id="an entity that is none"),
        pytest.param({"id": ""}, False, id="an empty id"),
        pytest.param({"by": None}, False, id="nobody"),
    ],
)
def test_the_schema_of_commands_takes_what_the_program_takes(change: dict[str, Any], fits: bool) -> None:
    command = {"command": "override", "id": "1", "by": "alice", "entity": "job:a/b", "state": "force_open", **change}
    try:
        msgspec.convert(command, AnyCommand)
        taken = True
    except msgspec.ValidationError:
        taken = False

    assert (validator(COMMAND).is_valid(command), taken) == (fits, fits)
