"""Links, anchors, commands, settings and metrics that the pages name are there; what the quickstart tells happens."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import typer
import yaml
from typer.core import TyperGroup

from detector import backtest
from detector.__main__ import app
from detector.config import Config, load
from detector.telemetry import Telemetry
from tests.contracts.sinks import SECRET

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
COMMANDS = typer.main.get_command(app)
FILES = {"hook-url": "https://hooks.example.com/in", "hook-secret": SECRET}
UsageError = typer.BadParameter.__base__  # typer brings a click of its own
LINK = re.compile(r"\]\(([^)\s]+)\)")
ENDS_A_COMMAND = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>", "2>&1", "#"}
# Homes and scratch directories of whoever wrote the page; names that the pages themselves give to things are fine.
MACHINE = re.compile(r"/(home|root|Users|work|workspace|mnt|private|tmp)/\w|[A-Z]:\\\\|\.\./shared")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> Iterator[str]:
    return (target for target in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", target))


def anchors(page: Path) -> set[str]:
    """The names that a heading can be reached by, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+?)\s*$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(text: str) -> Iterator[str]:
    """Every `detector ...` in a block of code that is a shell's, up to where another command begins."""
    for block in FENCE.finditer(text):
        lines = block.group(0).splitlines()
        kind, prompted = lines[0].strip("`~ "), any(line.startswith("$ ") for line in lines)
        if kind not in {"sh", "bash", "console", "shell", ""} or (kind == "" and not prompted):
            continue
        for line in lines[1:-1]:
            if line.startswith("$ ") or not prompted:
                yield from re.findall(r"(?:^|[|&;(]\s*|=\S+ )(detector(?: [^\n]*)?)$", line.removeprefix("$ ").strip())


def words(command: str) -> list[str]:
    """The words of the command alone: without comment, pipe and what follows."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if word in ENDS_A_COMMAND or word == "2":
            break
        found.append(word)
    return found


def parse(arguments: list[str]) -> None:
    """Let the command line parse these, and run nothing. Raises `UsageError`."""
    command, name = COMMANDS, "detector"
    while isinstance(command, TyperGroup) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        if name not in command.commands:
            raise typer.BadParameter(name)
        command = command.commands[name]
    if arguments == ["--help"] or (isinstance(command, TyperGroup) and not arguments):
        return
    known = {option for parameter in command.params for option in parameter.opts}
    if isinstance(command, TyperGroup) and arguments[0] in known | {"--install-completion"}:
        return
    command.make_context(name, arguments).close()


SAID = sorted({(named(page), command) for page in PAGES for command in commands(page.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_what_is_there(page: Path) -> None:
    missing = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            missing.append(target)

    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_names_a_path_of_somebodys_machine(page: Path) -> None:
    assert [line for line in page.read_text(encoding="utf-8").splitlines() if MACHINE.search(line)] == []


def test_every_page_is_in_the_index_of_its_folder() -> None:
    for folder, index in ((DOCS, "README.md"), (DOCS / "decisions", "README.md"), (DOCS / "models", "../models.md")):
        page = (folder / index).resolve()
        linked = {(page.parent / target.partition("#")[0]).resolve() for target in links(page)}

        assert set(folder.glob("*.md")) - {page} - linked == set()


def test_pages_with_commands_were_found() -> None:
    assert len(SAID) > 20


@pytest.mark.parametrize(("page", "command"), SAID)
def test_commands_can_be_typed_as_the_pages_say(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = words(command)[1:]
    for argument in arguments:  # the files that the pages speak of
        if re.fullmatch(r"[\w./-]+\.(jsonl|jsonl\.gz|json|yaml|csv|ics)", argument):
            (tmp_path / argument).parent.mkdir(exist_ok=True)
            (tmp_path / argument).touch()

    parse(arguments)


@pytest.mark.parametrize("wrong", [["chek"], ["check"], ["check", "orders"], ["tail", "--wiat"], ["breaker", "lst"]])
def test_a_command_that_is_typed_wrong_is_noticed(wrong: list[str]) -> None:
    assert UsageError is not None
    with pytest.raises(UsageError):
        parse(wrong)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_metrics_that_a_page_names_are_there(page: Path) -> None:
    told = set(re.findall(r"\bdetector_[a-z_]+[a-z]", page.read_text(encoding="utf-8")))
    known = {row.name for row in Telemetry().metrics.rows}

    assert {name for name in told if not any(name == k or name.removesuffix("_bucket") == k for k in known)} == set()


# docs/configuration.md shows wrong ones, too, and has tests of its own.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "configuration.md"], ids=named)
def test_settings_that_a_page_shows_are_right(page: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        found = yaml.safe_load(block)
        if isinstance(found, dict) and found.keys() <= set(Config.__struct_fields__):
            load(block, read=lambda path: FILES.get(Path(path).name, f"what-stands-in-{path}"))


def test_the_load_of_the_quickstart_is_found(tmp_path: Path) -> None:
    page = (DOCS / "quickstart.md").read_text(encoding="utf-8")
    program = next(block for block in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    (tmp_path / "orders.py").write_text(program)
    history = tmp_path / "history.jsonl"
    with history.open("wb") as out:
        for arguments in ("30 1 10000", "0 0 412"):
            command = [sys.executable, str(tmp_path / "orders.py"), *arguments.split()]
            out.write(subprocess.run(command, check=True, capture_output=True).stdout)
    said: list[bytes] = []

    summary = backtest.run([str(history)], load(""), said.append)

    events = [msgspec.json.decode(line) for line in said]
    opened = {event["data"]["entity"] for event in events if event.get("data", {}).get("to") == "open"}
    assert summary.runs == 31
    assert opened == {"job:airflow/orders.load", "dataset:warehouse/raw.orders"}
