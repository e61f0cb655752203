"""docs/commands.md has every command, and every option of each."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from detector.__main__ import app

PAGE = (Path(__file__).parent.parent / "docs" / "commands.md").read_text(encoding="utf-8")
EVERYWHERE = {"--config", "-c", "--help", "-h"}


def commands(group: TyperGroup, path: str) -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{path} {name}")
        else:
            assert isinstance(command, TyperCommand)
            yield f"{path} {name}", command


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
ALL = dict(commands(ROOT, "detector"))


def section(name: str) -> str:
    found = re.search(rf"^### `{name}`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else ""


def test_the_page_has_these_commands_and_no_others() -> None:
    assert set(re.findall(r"^### `(.+)`$", PAGE, re.MULTILINE)) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_a_section_has_all_options_of_its_command_and_no_others(name: str) -> None:
    known = {option for param in ALL[name].params for option in (*param.opts, *param.secondary_opts)}
    options = {option for option in known if option.startswith("-")} - EVERYWHERE
    items = "\n".join(line.partition(":")[0] for line in section(name).splitlines() if line.startswith("- "))

    assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", items)) == options
