"""docs/configuration.md says what the code does: its examples are run, its tables are made of the schema."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec.inspect as inspection
import pytest

from detector.config import Config, load, reference
from detector.config.reading import parse
from detector.config.schema import Plugin
from detector.config.units import write_seconds
from detector.core.rules import Settings
from detector.core.schedule import Deadline
from detector.errors import ConfigError
from detector.settings import kafka_settings, redis_client, registry_of, rules_of

PATH = Path(__file__).parent.parent / "docs" / "configuration.md"
PAGE = PATH.read_text(encoding="utf-8")
REFERENCE = reference()
DEFAULTS = parse(REFERENCE)
KEYS = re.compile(r"(?<=<!-- keys -->\n).*(?=<!-- end -->)", re.DOTALL)

LISTS = ("rules", "http.tokens")

WRONG = re.findall(r"```yaml\n([^`]*)```\n```text\n([^`]*)\n```", PAGE)
RIGHT = [text for text in re.findall(r"```yaml\n([^`]*)```\n(?!```text)", PAGE) if text not in dict(WRONG)]
VARIABLES = re.findall(r"```sh\n((?:DETECTOR_[^`]*)+)```", PAGE)


def secret(path: str) -> str:
    assert path.startswith("/run/secrets/")
    return "hunter2\n"


@pytest.mark.parametrize("text", RIGHT, ids=lambda text: " ".join(text.split())[:30])
def test_an_example_is_right(text: str) -> None:
    config = load(text, {}, secret)

    rules_of(config)

    assert config != Config()
    assert kafka_settings(config)
    redis_client(config).close()


@pytest.mark.parametrize(("text", "said"), WRONG, ids=lambda text: text[:30])
def test_an_example_of_what_is_wrong_is_refused_in_these_words(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)

    assert str(caught.value) == said


@pytest.mark.parametrize("text", VARIABLES, ids=lambda text: text.partition("=")[0])
def test_an_example_of_variables_is_right(text: str) -> None:
    env = dict(line.split("=", 1) for line in text.splitlines())

    for name, value in env.items():
        assert load("detection: {metrics: [a]}", {name: value}, secret) != load("detection: {metrics: [a]}"), name
    rules_of(load("", env, secret))
    registry_of(load("", env, secret))


def test_there_are_examples() -> None:
    assert (len(RIGHT), len(WRONG), len(VARIABLES)) >= (5, 2, 2)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(DETECTOR_\w+__\w+)(?:=\w+)?`", PAGE))))
def test_a_variable_that_is_named_is_one(name: str) -> None:
    value = re.search(rf"`{name}=(\w+)`", PAGE)

    assert load("", {name: value.group(1) if value else "5"}) != Config()


def test_the_table_of_entities_is_what_the_rules_make() -> None:
    (text,) = [text for text in RIGHT if "nightly_orders" in text]
    rules = rules_of(load(text))
    rows = re.findall(r"^\| `((?:job|dataset):[^`]+)` \| (.+) \|$", PAGE, re.MULTILINE)

    assert len(rows) >= 4
    for entity, told in rows:
        assert tuple(cell.strip() for cell in told.split("|")) == as_told(rules.of(entity)), entity


def as_told(settings: Settings) -> tuple[str, ...]:
    deadline, longest = settings.deadline, settings.max_duration
    return (
        f"{deadline.at:%H:%M}" if isinstance(deadline, Deadline) else "-",
        "-" if longest is None else write_seconds(longest),
        settings.mode,
        write_seconds(settings.wait),
        settings.on_unknown,
    )


# ---------------------------------------------------------------- the tables


def keys() -> str:
    """A table for each table of the file, in its order."""
    root = inspection.type_info(Config)
    assert isinstance(root, inspection.StructType)
    return (
        "\n"
        + "\n".join(
            f"### `{path}`\n\n{about}\n\n| key | default | |\n|---|---|---|\n{''.join(rows)}"
            for path, about, rows in sections(root, "")
        )
        + "\n"
    )


def sections(table: inspection.StructType, path: str) -> Iterator[tuple[str, str, list[str]]]:
    rows: list[str] = []
    below: list[tuple[str, inspection.StructType]] = []
    for field in table.fields:
        inner, name = struct_of(field.type), f"{path}.{field.name}".lstrip(".")
        if inner is not None and not issubclass(inner.cls, Plugin):
            below.append((f"{name}[]" if is_list(field.type) else name, inner))
        if inner is None or path:
            rows.append(f"| `{field.name}` | {default(name)} | {described(field.type)} |\n")
    if path:
        yield path, " ".join((table.cls.__doc__ or "").split()), rows
    for name, inner in below:
        yield from sections(inner, name)


def is_list(kind: inspection.Type) -> bool:
    return is_list(kind.type) if isinstance(kind, inspection.Metadata) else isinstance(kind, inspection.VarTupleType)


def struct_of(kind: inspection.Type) -> inspection.StructType | None:
    match kind:
        case inspection.Metadata():
            return struct_of(kind.type)
        case inspection.UnionType():
            return next((found for one in kind.types if (found := struct_of(one))), None)
        case inspection.VarTupleType():
            return struct_of(kind.item_type)
    return kind if isinstance(kind, inspection.StructType) else None


def described(kind: inspection.Type) -> str:
    assert isinstance(kind, inspection.Metadata)
    return str((kind.extra_json_schema or {})["description"]).replace("<", "\\<")


def default(path: str) -> str:
    """As the reference file writes it; what is in a list has none."""
    if "[]" in path:
        return ""
    value: Any = DEFAULTS
    for key in path.split("."):
        value = value[key]
    if isinstance(value, dict) and "kind" not in value and value:
        return "see below"
    (line,) = [found for found in lines(path) if found]
    return f"`{line}`"


def lines(path: str) -> Iterator[str]:
    """What stands behind a key of the reference file."""
    at: list[str] = []
    for line in REFERENCE.splitlines():
        if found := re.match(r"( *)([a-z_]+):(?: (.*))?$", line):
            at[len(found[1]) // 2 :] = [found[2]]
            if ".".join(at) == path:
                yield found[3] or ""


def test_the_tables_are_those_of_the_schema(update_golden: bool) -> None:
    made = KEYS.sub(lambda _: keys(), PAGE, count=1)
    if update_golden:
        PATH.write_text(made, encoding="utf-8")

    assert PATH.read_text(encoding="utf-8") == made, "pytest tests/test_configuration_page.py --update-golden"
