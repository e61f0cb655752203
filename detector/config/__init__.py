"""The configuration: one strict, typed YAML file, overrides from the environment, secrets by file.

`load` is pure and does the work; `load_file` does the I/O. Whatever is wrong is a `ConfigError` that names the path:
a detector that half understands what it was told is worse than one that does not start.
"""

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from detector.config.checks import check, without_credentials
from detector.config.cron import Times, parse_cron
from detector.config.reading import QUOTES, Read, override, parse, shape, shape_table, unknown_choice, unknown_key
from detector.config.schema import (
    AlertMatch,
    AlertSink,
    Breaker,
    BreakerRule,
    Calendar,
    Check,
    Config,
    Deadline,
    Detection,
    Executor,
    Hanging,
    Http,
    Kafka,
    Late,
    Log,
    Metrics,
    Model,
    Plugin,
    Policy,
    Profile,
    Redis,
    Registry,
    Rule,
    Secret,
    State,
    Time,
    Token,
    Topics,
    Worker,
)
from detector.config.showing import fingerprint, inline, reference, schema, show
from detector.config.zones import Zones, zone
from detector.errors import ConfigError

__all__ = [
    "AlertMatch",
    "AlertSink",
    "Breaker",
    "BreakerRule",
    "Calendar",
    "Check",
    "Config",
    "Deadline",
    "Detection",
    "Executor",
    "Hanging",
    "Http",
    "Kafka",
    "Late",
    "Log",
    "Metrics",
    "Model",
    "Plugin",
    "Policy",
    "Profile",
    "Redis",
    "Registry",
    "Rule",
    "Secret",
    "State",
    "Time",
    "Times",
    "Token",
    "Topics",
    "Worker",
    "Zones",
    "declared",
    "fingerprint",
    "inline",
    "load",
    "load_file",
    "parse",
    "parse_cron",
    "plugin",
    "reference",
    "schema",
    "show",
    "zone",
]

T = TypeVar("T")
_WORDS = {
    "object": "a table",
    "array": "a list",
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}
_PATTERNS = {
    "matching regex '^([01]\\\\d|2[0-3]):[0-5]\\\\d$'": "like 03:30",
    "matching regex '^(\\\\d{4}-)?\\\\d{2}-\\\\d{2}$'": "like 2026-12-24 or 12-24",
    "matching regex '^[^\\\\n]*$'": "on one line",
    "matching regex '^[A-Za-z0-9._-]+$'": "of letters, digits, dots, hyphens and underscores only",
}


def load(text: str, env: Mapping[str, str] | None = None, read: Read | None = None) -> Config:
    """The configuration that a file's text and environment variables make; an empty text is all defaults.

    DETECTOR_<TABLE>__<KEY> overrides a key. `read` gives the text of a file that holds a secret; without it, secrets
    by file are refused. Raises `ConfigError` that names the path, and the variable that it came from.
    """
    raw = parse(text)
    origins = override(raw, env or {})
    try:
        config = without_credentials(_convert(shape(raw, read or _read_nothing)))
        check(config)
    except ConfigError as error:
        path = str(error).partition(":")[0]
        name = origins.get(path) or origins.get(path.removesuffix("_file"))
        if name is None:
            raise
        raise ConfigError(f"{error} (from {name})") from None
    return config


def load_file(path: str | Path | None, env: Mapping[str, str]) -> Config:
    """The configuration that a file and environment variables make. No file (None) is all defaults.

    A file that holds a secret is looked for from the folder of `path`. Raises `ConfigError`.
    """
    folder = Path(path).parent if path else Path()
    try:
        text = Path(path).read_text(encoding="utf-8") if path else ""
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8") from None
    try:
        return load(text, env, lambda name: (folder / name).read_text(encoding="utf-8"))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}" if path else str(error)) from None


def plugin(registry: Mapping[str, type[T]], chosen: Plugin, path: str) -> T:
    """What `chosen` names in a registry (`MODELS`, `POLICIES`), made with its parameters.

    `path` is where the choice stands. Raises `ConfigError` for an unknown kind, unknown parameters and refused values.
    """
    if chosen.kind not in registry:
        raise ConfigError(f"{path}.kind: {unknown_choice(chosen.kind, registry)}")
    made = registry[chosen.kind]
    takes = inspect.signature(made).parameters.values()
    known = {one.name: one.annotation for one in takes if one.kind is not one.VAR_KEYWORD}
    takes_more = len(known) < len(takes)  # it looks at the names itself
    for name, value in chosen.parameters.items():
        if name in known:
            _check_type(value, known[name], f"{path}.{name}")
        elif not takes_more:
            raise ConfigError(f"{path}.{name}: {unknown_key(name, ['kind', *known])}")
    try:
        return made(**chosen.parameters)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None


def declared(registry: Mapping[str, type[T]], chosen: Plugin, path: str) -> T:
    """The same for a registry of structs, whose parameters are typed as the keys of the file are: with units and lists.

    Raises `ConfigError` with the path of the parameter.
    """
    if chosen.kind not in registry:
        raise ConfigError(f"{path}.kind: {unknown_choice(chosen.kind, registry)}")
    kind = registry[chosen.kind]
    try:
        return msgspec.convert(shape_table(dict(chosen.parameters), kind, path), kind)
    except msgspec.ValidationError as error:
        problem, _, inner = str(error).partition(" - at `$")
        raise ConfigError(f"{path}{inner.rstrip('`')}: {_lower(problem)}") from None


def _check_type(value: object, annotation: Any, path: str) -> None:
    """Only plain types are checked: a River class may have no annotations, or any."""
    if annotation in (bool, int, float, str):
        try:
            msgspec.convert(value, annotation)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{path}: {_lower(str(error))}") from None


def _convert(raw: Any) -> Config:
    try:
        return msgspec.convert(raw, Config, dec_hook=_secret)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        where = path.rstrip("`").lstrip(".")
        raise ConfigError(f"{where}: {_lower(problem)}" if where else _lower(problem)) from None


def _secret(kind: type[Any], value: object) -> Any:
    if kind is not Secret:
        raise NotImplementedError(kind)
    if not isinstance(value, str):
        raise ValueError(QUOTES)
    return Secret(value)


def _lower(text: str) -> str:
    """msgspec's words in ours: its types stand in backticks, with bars between."""
    for theirs, ours in _PATTERNS.items():
        text = text.replace(theirs, ours)
    text = re.sub("`([^`]*)`", lambda found: " or ".join(_WORDS.get(w, w) for w in found[1].split(" | ")), text)
    return text[:1].lower() + text[1:]


def _read_nothing(path: str) -> str:
    raise ValueError(f"{path} is a file, which `load` does not read: `load_file` does")
