"""From text and environment to plain values in the shape of the schema, with errors that name the path.

msgspec checks types; what it does not say well is said here: unknown keys with the one that was probably meant,
choices with what there is to choose from, units. Secrets that are given by file are read by the `read` that the
caller brings, so that nothing here does I/O.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from math import isfinite
from typing import Any, Final

import msgspec.inspect as inspection
import yaml

from detector.config import units
from detector.config.schema import Config, Plugin, Secret
from detector.errors import ConfigError

Read = Callable[[str], str]
PREFIX: Final = "DETECTOR_"
# A password of digits only is a number to YAML, and its leading zeros are lost by then.
QUOTES: Final = "expected a text: put it in quotes"
_ROOT: Final = inspection.type_info(Config)


class _Loader(yaml.SafeLoader):
    """YAML with the words of YAML 1.2: `off` and `no` are texts, `03:30` is no number, a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As in the base class, but refuses a key that stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a word, not a list or a table", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int:
        """A whole number to the base of ten: the base class takes `010` for eight."""
        return int(self.construct_scalar(node))


_Loader.yaml_implicit_resolvers = {}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
for _tag, _pattern, _first in (
    ("null", r"^(~|null|)$", ["~", "n", ""]),
    ("bool", r"^(true|false)$", list("tf")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def parse(text: str) -> dict[str, Any]:
    """The tables of a YAML file; none for an empty one. Raises `ConfigError` with the line."""
    try:
        found = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(f"{where}{error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"this is not YAML: {error}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError("a configuration is made of tables (`kafka:`, `redis:` ...), this is something else")
    return found


# ---------------------------------------------------------------- the environment


def override(raw: dict[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """Put what the environment says into `raw`. Returns which path came from which variable.

    Only names with a double underscore are ours: Kubernetes makes DETECTOR_PORT and the like of its own for a service
    that is called `detector`. Raises `ConfigError` for a name that is no key.
    """
    origins: dict[str, str] = {}
    for name in sorted(env):
        if not name.startswith(PREFIX) or env[name] == "":
            continue
        if "__" not in name:
            _check_misspelt(name, env[name])
            continue
        parts = _path_of(name)
        _put(raw, parts, env[name])
        origins[".".join(parts).removesuffix("_file")] = name
    return origins


def _check_misspelt(name: str, value: str) -> None:
    for table in _fields(_ROOT).values():
        if name == f"{PREFIX}{table.name}".upper():
            what = (
                f"the keys of a table are {name}__<KEY>" if _fields(_plain(table.type)) else "only a file can give them"
            )
            raise ConfigError(f"{name}: {table.name} cannot be given as one value; {what}")
        for key in _fields(_plain(table.type)):
            meant = f"{PREFIX}{table.name}__{key}".upper()
            if name == meant.replace("__", "_") and "://" not in value:
                raise ConfigError(f"{name}: unknown variable, did you mean {meant}?")


def _path_of(name: str) -> list[str]:
    """The keys that a variable names, from the top."""
    parts: list[str] = []
    kind: inspection.Type = _ROOT
    words = name.removeprefix(PREFIX).split("__")
    for at, word in enumerate(words):
        kind = _plain(kind)
        key = word.lower()
        if isinstance(kind, inspection.DictType):
            # librdkafka's names have dots, which a shell's variables cannot have.
            rest = "_".join(words[at:]).lower()
            stem = rest.removesuffix("_file") if _is_secret(kind.value_type) else rest
            return [*parts, stem.replace("_", ".") + rest[len(stem) :]]
        if not isinstance(kind, inspection.StructType):
            raise ConfigError(f"{name}: {'.'.join(parts)} has no keys below it that a variable could name")
        if issubclass(kind.cls, Plugin) and key not in _fields(kind):
            return [*parts, key]
        kind = _named(kind, key, name)
        parts.append(key)
    return parts


def _named(table: inspection.StructType, key: str, name: str) -> inspection.Type:
    fields = _fields(table)
    secret = fields.get(key.removesuffix("_file"))
    if key in fields or (secret is not None and _is_secret(secret.type)):
        return fields.get(key, secret).type  # type: ignore[union-attr]
    raise ConfigError(f"{name}: {unknown_key(key, fields)}")


def _put(raw: dict[str, Any], parts: list[str], text: str) -> None:
    kind: inspection.Type = _ROOT
    table = raw
    for part in parts[:-1]:
        kind = _plain(_fields(kind)[part].type)
        if table.get(part) is None:
            table[part] = {}
        table = table[part]
        if not isinstance(table, dict):
            raise ConfigError(f"{part}: expected a table")
    last = parts[-1]
    other = last.removesuffix("_file") if last.endswith("_file") else f"{last}_file"
    table.pop(other, None)  # the environment wins over the file, however each gives the secret
    table[last] = _typed(text, kind, last)


def _typed(text: str, table: inspection.Type, key: str) -> Any:
    """A variable is a text: what it means follows from the type of the key."""
    if isinstance(table, inspection.DictType):
        return text
    field = _fields(table).get(key)
    if field is None:
        return text if key.endswith("_file") else parse_scalar(text)
    kind = _plain(field.type)
    if text == "null" and _may_be_null(field.type) and not _is_secret(field.type):
        return None
    if isinstance(kind, inspection.VarTupleType) and not text.startswith("["):
        return [word.strip() for word in text.split(",")]
    if isinstance(kind, (inspection.StrType, inspection.LiteralType, inspection.CustomType)) or _unit(field.type):
        return text
    return parse_scalar(text)


def parse_scalar(text: str) -> Any:
    """A number, a truth value, a list or a text, as YAML reads it."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        return text


# ---------------------------------------------------------------- the shape


def shape(value: Any, read: Read) -> Any:
    """The plain values of `value` as msgspec takes them: seconds for durations, bytes for sizes, secrets read.

    Raises `ConfigError` for unknown keys and choices, bad units, and secrets that cannot be had.
    """
    return _shape(value, _ROOT, "", read)


def shape_table(value: dict[str, Any], kind: type, path: str) -> dict[str, Any]:
    """The same for one table of this class, which stands at `path` and holds no secrets."""

    def read(name: str) -> str:
        raise ValueError(f"{name} is a file")

    table = inspection.type_info(kind)
    assert isinstance(table, inspection.StructType)
    return _table(value, table, path, read)


def _shape(value: Any, kind: inspection.Type, path: str, read: Read) -> Any:
    unit = _unit(kind)
    if value is None:
        return _nothing(kind, path)
    if isinstance(value, float) and not isfinite(value):
        raise ConfigError(f"{path}: is too large a number")
    kind = _plain(kind)
    match kind:
        case inspection.StructType() if isinstance(value, dict):
            return _table(value, kind, path, read)
        case inspection.DictType() if isinstance(value, dict):
            return _map(value, kind, path, read)
        case inspection.VarTupleType() if isinstance(value, list):
            return [_shape(item, kind.item_type, f"{path}[{at}]", read) for at, item in enumerate(value)]
        case inspection.LiteralType() if value not in kind.values:
            raise ConfigError(f"{path}: {unknown_choice(value, kind.values)}")
    return _measured(value, unit, path) if unit else value


def _nothing(kind: inspection.Type, path: str) -> Any:
    """What `kafka:` or `rules:` with nothing below it means: nothing differs, unless null has a meaning of its own."""
    plain = _plain(kind)
    if _may_be_null(kind) or path.endswith("]"):
        return None
    if isinstance(plain, inspection.StructType) and not any(field.required for field in plain.fields):
        return {}
    if isinstance(plain, inspection.DictType):
        return {}
    return [] if isinstance(plain, inspection.VarTupleType) else None


def _measured(value: Any, unit: str, path: str) -> float | int:
    try:
        return units.seconds(value) if unit == "seconds" else units.size(value)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None


def _table(value: dict[Any, Any], kind: inspection.StructType, path: str, read: Read) -> dict[str, Any]:
    fields = _fields(kind)
    if issubclass(kind.cls, Plugin):
        return {"kind": _kind(value, kind, path), "parameters": _parameters(value, path, _takes_lists(kind))}
    shaped: dict[str, Any] = {}
    for key, item in value.items():
        at = f"{path}.{key}" if path else str(key)
        name = str(key).removesuffix("_file")
        if key in fields:
            shaped[key] = _shape(item, fields[key].type, at, read)
        elif name in fields and _is_secret(fields[name].type):
            shaped[name] = _from_file(item, value, name, at, read)
        else:
            raise ConfigError(f"{at}: {unknown_key(str(key), fields)}")
    for field in kind.fields:
        if field.required and field.name not in shaped:
            raise ConfigError(f"{path}.{field.name}: is missing")
    return shaped


def _kind(value: dict[Any, Any], table: inspection.StructType, path: str) -> object:
    field = _fields(table)["kind"]
    if field.required and "kind" not in value:
        raise ConfigError(f"{path}.kind: is missing")
    return value.get("kind", field.default)


def _takes_lists(table: inspection.StructType) -> bool:
    parameters = _fields(table)["parameters"].type
    return (
        isinstance(parameters, inspection.DictType)
        and isinstance(parameters.value_type, inspection.UnionType)
        and any(isinstance(one, inspection.VarTupleType) for one in parameters.value_type.types)
    )


def _parameters(value: dict[Any, Any], path: str, lists: bool) -> dict[str, Any]:
    given = {str(key): item for key, item in value.items() if key != "kind"}
    for key, item in given.items():
        for at, one in enumerate(item) if lists and isinstance(item, list) else ():
            _check_scalar(one, f"{path}.{key}[{at}]")
        if not (lists and isinstance(item, list)):
            _check_scalar(item, f"{path}.{key}")
    return given


def _check_scalar(value: Any, path: str) -> None:
    if isinstance(value, (dict, list)):
        found = "a table" if isinstance(value, dict) else "a list"
        raise ConfigError(f"{path}: expected a text, a number, true or false, got {found}")


def _map(value: dict[Any, Any], kind: inspection.DictType, path: str, read: Read) -> dict[str, Any]:
    shaped: dict[str, Any] = {}
    for key, item in value.items():
        at, name = f"{path}.{key}", str(key)
        if _is_secret(kind.value_type) and name.endswith("_file"):
            name = name.removesuffix("_file")
            item = _from_file(item, value, name, at, read)
        if item is None:
            raise ConfigError(f"{at}: has no value")
        if _is_secret(kind.value_type) and not isinstance(item, str):
            raise ConfigError(f"{at}: {QUOTES}")
        _check_scalar(item, at)
        shaped[name] = item
    return shaped


def _from_file(path: Any, table: Mapping[Any, Any], name: str, at: str, read: Read) -> str:
    if table.get(name) is not None:
        raise ConfigError(f"{at}: {name} is given, too; only one of them can be")
    if not isinstance(path, str):
        raise ConfigError(f"{at}: expected the path of a file")
    try:
        secret = read(path).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # Without the error's text, which holds a byte of the secret.
        raise ConfigError(f"{at}: {path} is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{at}: {path} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    if not secret:
        raise ConfigError(f"{at}: {path} is empty")
    return secret


# ---------------------------------------------------------------- words and types


def did_you_mean(word: str, known: list[str]) -> str:
    """The nearest of the words that are known, as the end of a sentence; a semicolon if none is near."""
    near = get_close_matches(word.casefold(), [one.casefold() for one in known], n=1)
    return f", did you mean {next(one for one in known if one.casefold() == near[0])}?" if near else ";"


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of a key that is none."""
    words = list(known)
    return f"unknown key{did_you_mean(key, words)} known: {', '.join(words)}"


def unknown_choice(value: object, choices: Iterable[object]) -> str:
    """What to say of a value that is not among those to choose from."""
    words = [str(choice) for choice in choices]
    return f"unknown value {value!r}{did_you_mean(str(value), words)} known: {', '.join(words)}"


def _fields(kind: inspection.Type) -> dict[str, inspection.Field]:
    return {field.name: field for field in kind.fields} if isinstance(kind, inspection.StructType) else {}


def _plain(kind: inspection.Type) -> inspection.Type:
    """The type without what is said about it, and without the null that it may also be."""
    while True:
        if isinstance(kind, inspection.Metadata):
            kind = kind.type
        elif isinstance(kind, inspection.UnionType):
            others = [option for option in kind.types if not isinstance(option, inspection.NoneType)]
            if len(others) != 1:
                return kind
            kind = others[0]
        else:
            return kind


def _may_be_null(kind: inspection.Type) -> bool:
    while isinstance(kind, inspection.Metadata):
        kind = kind.type
    return isinstance(kind, inspection.UnionType) and any(isinstance(o, inspection.NoneType) for o in kind.types)


def _unit(kind: inspection.Type) -> str | None:
    while isinstance(kind, (inspection.Metadata, inspection.UnionType)):
        if isinstance(kind, inspection.Metadata):
            if kind.extra and "unit" in kind.extra:
                return str(kind.extra["unit"])
            kind = kind.type
        else:
            others = [option for option in kind.types if not isinstance(option, inspection.NoneType)]
            if len(others) != 1:
                return None
            kind = others[0]
    return None


def _is_secret(kind: inspection.Type) -> bool:
    plain = _plain(kind)
    return isinstance(plain, inspection.CustomType) and plain.cls is Secret
