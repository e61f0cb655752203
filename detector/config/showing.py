"""The configuration for people and editors: the reference file, what is in force, the JSON Schema, a fingerprint."""

import textwrap
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from inspect import signature
from typing import Any, Final

import msgspec
import msgspec.inspect as inspection
import yaml

from detector.config import units
from detector.config.schema import DURATION, SIZE, AlertSink, Config, Model, Plugin, Policy, Rule, Secret, Table

WIDTH: Final = 100
SECRETS: Final = ("password", "token", "key", "secret")
LISTS: Final[Mapping[str, type[msgspec.Struct]]] = {"rules": Rule, "alerts": AlertSink}
_HEAD: Final = """\
# The configuration of Detector: every key with its default. A file needs only what differs; none at all will do.
# Durations are written 250ms, 5s, 10m, 2h or 1d, sizes 512KiB, 16MiB or 2GiB. Unknown keys are errors.
# The environment overrides: DETECTOR_KAFKA__BOOTSTRAP_SERVERS is kafka.bootstrap_servers. A password can be given by
# file: `password_file: /run/secrets/redis` here, or DETECTOR_REDIS__PASSWORD_FILE.
# This file is made from the code: `python -m detector.config > config/detector.yaml`.
"""


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors."""
    made: dict[str, Any] = msgspec.json.schema(Config, schema_hook=lambda _: {"type": "string"})
    for name, table in made["$defs"].items():
        _as_written(table)
        if name in ("Model", "Policy", "Check"):
            # In the file the parameters stand beside the kind.
            table["additionalProperties"] = table["properties"].pop("parameters")["additionalProperties"]
        else:
            _with_files(table["properties"], ("url",) if name == "AlertSink" else ())
    return made


def _as_written(node: Any) -> None:
    """Durations and sizes are texts in the file, and a table may be empty."""
    if isinstance(node, list):
        for item in node:
            _as_written(item)
    if not isinstance(node, dict):
        return
    for item in node.values():
        _as_written(item)
    if "$ref" in node:
        node.pop("default", None)
    if node.get("pattern") in (DURATION, SIZE):
        write = units.write_seconds if node["pattern"] == DURATION else units.write_size
        for key in ("minimum", "exclusiveMinimum"):
            node.pop(key, None)
        node["type"] = "string"
        if node.get("default") is not None:
            node["default"] = write(node["default"])


def _with_files(properties: dict[str, Any], more: tuple[str, ...]) -> None:
    for key in [key for key in properties if key.endswith(SECRETS) or key in more]:
        properties[f"{key}_file"] = {"type": "string", "description": f"File that holds {key}."}


def reference() -> str:
    """The text of `config/detector.yaml`: every key with a comment and its default."""
    lines = [*_HEAD.splitlines()]
    for field in inspection.type_info(Config).fields:  # type: ignore[attr-defined]
        lines.append("")
        if field.name in LISTS:
            lines += _comment(_description(field), "")
            lines += [f"{field.name}: []", *_example_of(LISTS[field.name])]
        else:
            table = _table(field)
            assert table is not None
            lines += _comment(_doc(table.cls), "")
            lines.append(f"{field.name}:")
            lines += _keys(table, getattr(Config(), field.name), "  ")
    return "\n".join(lines) + "\n"


def _keys(table: inspection.StructType, values: Any, indent: str) -> Iterator[str]:
    for field in table.fields:
        value = getattr(values, field.name)
        inner = _table(field)
        yield from _comment(_description(field), indent)
        if isinstance(value, Plugin):
            for kind in _kinds(_registry(type(value))):
                yield from _comment(kind, indent)
        if inner is not None and isinstance(value, Table):
            yield f"{indent}{field.name}:"
            yield from _keys(inner, value, indent + "  ")
        else:
            yield f"{indent}{field.name}: {inline(_plain(value, field.type))}"
        item = _item(field)
        if item is not None:
            yield from _example_of(item, indent)


def _registry(kind: type[Plugin]) -> Mapping[str, type]:
    """Imported late: whoever only asks for a breaker reads the configuration, and needs no models."""
    from detector.core.models import MODELS
    from detector.core.policies import POLICIES

    registries: dict[type[Plugin], Mapping[str, type]] = {Model: MODELS, Policy: POLICIES}
    return registries[kind]


def _kinds(registry: Mapping[str, type]) -> Iterator[str]:
    """Every kind with its parameters and their defaults."""
    for kind, plugin in registry.items():
        parameters = signature(plugin).parameters.values()
        named = [f"{p.name} {inline(p.default)}" for p in parameters if p.kind is not p.VAR_KEYWORD]
        more = ["what the estimator itself takes"] if len(named) < len(parameters) else []
        yield f"{kind}: {', '.join(named + more)}."


def _example_of(kind: type[msgspec.Struct], indent: str = "") -> Iterator[str]:
    """One entry of a list with every key that it can have, commented out."""
    lines = [*_example(kind, "    ")]
    first = next(at for at, line in enumerate(lines) if not line.lstrip().startswith("#"))
    lines[first] = lines[first].replace("    ", "  - ", 1)
    for line in lines:
        yield f"#{indent}{line}"


def _example(kind: type[msgspec.Struct], indent: str) -> Iterator[str]:
    for field in inspection.type_info(kind).fields:  # type: ignore[attr-defined]
        yield from _comment(_description(field), indent)
        inner = _table(field)
        if inner is not None and not issubclass(inner.cls, Plugin):
            yield f"{indent}{field.name}:"
            yield from _example(inner.cls, indent + "  ")
        else:
            yield f"{indent}{field.name}: {inline(_meta(field).get('examples', [None])[0])}"


def show(config: Config) -> str:
    """The configuration in force as YAML, all defaults included, secrets hidden."""
    return _dump(_plain(config, inspection.type_info(Config)))


def fingerprint(config: Config) -> str:
    """Equal for configurations under which the core decides alike: 16 hex digits.

    How often ticks are written, for one, is no part of it: the core takes each as it comes.
    """
    time = config.time
    times = [time.ahead, time.gap, time.grace, time.heartbeat, config.state.expire_after]
    parts = [times, config.detection, config.breaker, config.rules]
    return blake2b(msgspec.json.encode(parts, order="deterministic"), digest_size=8).hexdigest()


# ---------------------------------------------------------------- values as people write them


def _plain(value: Any, kind: inspection.Type) -> Any:
    unit = None
    while isinstance(kind, (inspection.Metadata, inspection.UnionType)):
        if isinstance(kind, inspection.Metadata):
            unit = (kind.extra or {}).get("unit", unit)
            kind = kind.type
        else:
            kind = next(option for option in kind.types if not isinstance(option, inspection.NoneType))
    match value:
        case Secret():
            return "***"
        case Plugin():
            return {"kind": value.kind, **value.parameters}
        case msgspec.Struct() if isinstance(kind, inspection.StructType):
            return {field.name: _plain(getattr(value, field.name), field.type) for field in kind.fields}
        case tuple() if isinstance(kind, inspection.VarTupleType):
            return [_plain(item, kind.item_type) for item in value]
        case dict():
            return {key: "***" if isinstance(item, Secret) else item for key, item in value.items()}
        case float() if unit == "seconds":
            return units.write_seconds(value)
        case int() if unit == "bytes":
            return units.write_size(value)
    return value


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.1 would take for something else (`off`, `03:30`), so that other tools read it as we do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists are indented below their key."""
        del indentless
        super().increase_indent(flow, False)


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)


def inline(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10_000, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _table(field: inspection.Field) -> inspection.StructType | None:
    kind = field.type
    while isinstance(kind, (inspection.Metadata, inspection.UnionType)):
        kind = kind.type if isinstance(kind, inspection.Metadata) else kind.types[0]
    return kind if isinstance(kind, inspection.StructType) else None


def _item(field: inspection.Field) -> type[msgspec.Struct] | None:
    """What a list of tables consists of."""
    kind = field.type
    while isinstance(kind, inspection.Metadata):
        kind = kind.type
    item = kind.item_type if isinstance(kind, inspection.VarTupleType) else None
    return item.cls if isinstance(item, inspection.StructType) and issubclass(item.cls, Table) else None


def _meta(field: inspection.Field) -> dict[str, Any]:
    return (field.type.extra_json_schema or {}) if isinstance(field.type, inspection.Metadata) else {}


def _description(field: inspection.Field) -> str:
    return str(_meta(field)["description"])


def _doc(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split())


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
