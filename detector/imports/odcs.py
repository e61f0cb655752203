"""Data contracts of the Open Data Contract Standard (3.x): `quality`, `slaProperties`, and what a schema promises."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from detector.errors import ConfigError
from detector.imports.fragment import Fragment, Rule
from detector.imports.naming import Place, place
from detector.imports.reading import duration, number, table, tables, words

Table = Mapping[str, Any]

OPERATORS: Final = (
    *("mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan"),
    *("mustBeLessOrEqualTo", "mustBeBetween", "mustNotBeBetween"),
)
WARNINGS: Final = frozenset({"warning", "warn", "low", "minor", "info", "information", "medium"})
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::00)?(Z|[+-]\d{2}:\d{2})?")
FRESH: Final = frozenset({"latency", "ly", "freshness", "frequency", "fy"})
AVAILABLE: Final = frozenset({"timeofavailability"})


def translated(contract: Table, source: str, server: str = "", namespace: str = "", timezone: str = "UTC") -> Fragment:
    """The rules of a contract. `server` names one of several. Raises `ConfigError` for a server that there is not."""
    fragment = Fragment(f"From {source}, {contract.get('apiVersion', 'of no version')}.")
    where = _place(contract, server, namespace)
    owner, tags = _owner(contract.get("team")), words(contract.get("tags", []))
    rules: dict[str, Rule] = {}
    for at, described in enumerate(tables(contract.get("schema"))):
        name = str(described.get("physicalName") or described.get("name") or f"schema[{at}]")
        key = str(described.get("name") or name)
        rules[key] = Rule(where.dataset(name), owner, [*tags, *words(described.get("tags", []))])
        _schema(rules[key], described, key)
    fragment.rules = list(rules.values())
    for at, promise in enumerate(tables(contract.get("slaProperties"))):
        _sla(fragment, rules, promise, f"slaProperties[{at}]", timezone)
    return fragment


def _place(contract: Table, wanted: str, namespace: str) -> Place:
    servers = {str(one.get("server", at)): one for at, one in enumerate(tables(contract.get("servers")))}
    if not servers and namespace and not wanted:
        return Place(namespace)
    if wanted and wanted not in servers:
        raise ConfigError(f"the contract has no server {wanted}; it has: {', '.join(servers) or 'none'}")
    if not servers:
        raise ConfigError("the contract names no server: give the --namespace of its datasets")
    if not wanted and len(servers) > 1:
        raise ConfigError(f"the contract has several servers: name one with --server: {', '.join(servers)}")
    chosen = servers[wanted or next(iter(servers))]
    found = place(chosen, namespace)
    if found is None:
        kind = chosen.get("type", "unknown")
        raise ConfigError(f"what OpenLineage calls a server of type {kind} is not known: give its --namespace")
    return found


def _owner(team: Any) -> str | None:
    """The name of the team, or the member that owns it."""
    if isinstance(team, Mapping):
        return str(team["name"]) if team.get("name") else _owner(team.get("members"))
    owners = [one for one in tables(team) if str(one.get("role", "")).lower() in ("owner", "data owner")]
    return str(owners[0].get("username") or owners[0].get("name") or "") or None if owners else None


# ---------------------------------------------------------------- the schema


def _schema(rule: Rule, described: Table, path: str) -> None:
    for at, check in enumerate(tables(described.get("quality"))):
        _quality(rule, check, f"{path}.quality[{at}]", None)
    columns = list(_columns(described, ""))
    keys = [name for name, column in columns if column.get("primaryKey") is True]
    for name, column in columns:
        _column(rule, column, name, f"{path}.{name}", keys == [name])
    if len(keys) > 1:
        rule.notes.append(f"{path}: the primary key of {', '.join(keys)}: no profile tells which rows repeat")
    if described.get("relationships"):
        rule.notes.append(f"{path}.relationships: only those of a single column are")


def _columns(described: Table, before: str) -> Iterator[tuple[str, Table]]:
    """The properties of an object, those of objects within it by their path."""
    for column in tables(described.get("properties")):
        name = f"{before}{column.get('physicalName') or column.get('name')}"
        yield name, column
        yield from _columns(column, f"{name}.")


def _column(rule: Rule, column: Table, name: str, path: str, is_key: bool) -> None:
    if column.get("required") is True or column.get("primaryKey") is True:
        rule.add(path, "not_null", column=name)
    if column.get("unique") is True or is_key:
        rule.add(path, "unique", column=name)
    _options(rule, table(column.get("logicalTypeOptions")), name, path)
    for relation in tables(column.get("relationships")):
        dataset, _, key = str(relation.get("to", "")).rpartition(".")
        if dataset and "/" not in dataset:
            rule.add(path, "referential", column=name, dataset=dataset, key=key)
            rule.remarks.append(f"{path}: needs the statistic missing_in:{dataset}.{key}_share of {name}")
        else:
            rule.notes.append(f"{path}.relationships: {relation.get('to')}")
    for at, check in enumerate(tables(column.get("quality"))):
        _quality(rule, check, f"{path}.quality[{at}]", name)
    if column.get("items"):
        rule.notes.append(f"{path}.items: elements of lists have no statistics")


def _options(rule: Rule, options: Table, name: str, path: str) -> None:
    bounds = {word: number(options.get(key)) for word, key in (("min", "minimum"), ("max", "maximum"))}
    given: dict[str, Any] = {word: bound for word, bound in bounds.items() if bound is not None}
    if given:
        rule.add(path, "between", column=name, **given)
    if isinstance(options.get("pattern"), str):
        _pattern(rule, name, str(options["pattern"]), path, "critical", "", 1.0)
    known = {"pattern", "format", "timezone", "defaultTimezone"}
    known |= {key for word, key in (("min", "minimum"), ("max", "maximum")) if word in given}
    for key in options:
        if key not in known:
            rule.notes.append(f"{path}.logicalTypeOptions.{key}: {options[key]}")


# ---------------------------------------------------------------- quality


class Limits(NamedTuple):
    """A band, and whether its bounds are themselves outside."""

    lower: float | None
    upper: float | None
    above: bool
    below: bool


class Asked(NamedTuple):
    """One check of a metric: where it stands, of which column (None: of the whole object), and what it may be."""

    rule: Rule
    path: str
    column: str | None
    arguments: Table
    limits: Limits
    percent: bool
    severity: str
    name: str

    def add(self, kind: str, **parameters: object) -> bool:
        """Add it to the rule."""
        self.rule.add(self.path, kind, self.severity, self.name, **parameters)
        return True

    @property
    def most(self) -> float | None:
        """The most of something bad that is allowed: rows, or a share. None where there must be some of it."""
        upper = self.limits.upper
        if upper is None or upper < 0 or (self.limits.lower or 0.0) > 0:
            return None
        if self.percent:
            return min(upper / 100, 1.0)
        return max(math.ceil(upper) - 1, 0) if self.limits.below else math.floor(upper)


def _quality(rule: Rule, check: Table, path: str, column: str | None) -> None:
    kind, metric = str(check.get("type", "library")), check.get("metric") or check.get("rule")
    told = str(check.get("name") or check.get("description") or metric or check.get("engine") or kind)
    if kind != "library" or metric is None:
        rule.notes.append(f"{path} ({kind}): {told}")
        return
    if check.get("schedule"):
        rule.remarks.append(f"{path}: every load is checked when it comes, whatever its schedule ({check['schedule']})")
    given = {name: check[name] for name in OPERATORS if name in check}
    limits, percent = _limits(given), check.get("unit") == "percent"
    severity = "warning" if str(check.get("severity", "")).lower() in WARNINGS else "critical"
    arguments, name = table(check.get("arguments")), str(check.get("name") or "")
    translate = _METRICS.get(str(metric))
    if not (translate and limits and translate(Asked(rule, path, column, arguments, limits, percent, severity, name))):
        asked = ", ".join(f"{name} {value}" for name, value in given.items()) or "without an operator"
        rule.notes.append(f"{path}: {metric} {asked}{' percent' if percent else ''} ({told})")
    elif percent and (limits.above or limits.below):
        rule.remarks.append(f"{path}: the bound itself is allowed, too")


def _limits(given: Table) -> Limits | None:
    """The band that operators make; None for what is no band."""
    lower: tuple[float, bool] | None = None
    upper: tuple[float, bool] | None = None
    for name, value in given.items():
        pair = [number(one) for one in value] if isinstance(value, list) else [number(value)] * 2
        low, high = (pair[0], pair[1]) if len(pair) == 2 else (None, None)
        if low is None or high is None or name.startswith("mustNot"):
            return None
        strict = name.endswith("Than")
        if not name.startswith("mustBeLess"):
            lower = max(lower or (low, strict), (low, strict))
        if not name.startswith("mustBeGreater"):
            upper = min(upper or (high, not strict), (high, not strict))  # of two that are equal, the strict one
    if lower is None and upper is None:
        return None
    return Limits(lower and lower[0], upper and upper[0], bool(lower and lower[1]), bool(upper and not upper[1]))


def _nulls(asked: Asked) -> bool:
    most = asked.most
    if asked.column is None or most is None:
        return False
    allowed: dict[str, object] = {} if most == 0 else {"at_most" if asked.percent else "at_most_rows": most}
    return asked.add("not_null", column=asked.column, **allowed)


def _missing(asked: Asked) -> bool:
    """Empty texts and the like have no statistic."""
    return asked.arguments.get("missingValues", [None]) == [None] and _nulls(asked)


def _invalid(asked: Asked) -> bool:
    most, values, pattern = asked.most, asked.arguments.get("validValues"), asked.arguments.get("pattern")
    if asked.column is None or most is None or (most > 0 and (values or not asked.percent)) or not (values or pattern):
        return False
    if isinstance(values, list):
        asked.add("in_set", column=asked.column, values=[value for value in values if value is not None])
    if isinstance(pattern, str):
        name = "" if values else asked.name
        _pattern(asked.rule, asked.column, pattern, asked.path, asked.severity, name, round(1 - most, 12))
    return True


def _pattern(rule: Rule, column: str, pattern: str, path: str, severity: str, name: str, least: float) -> None:
    known = re.sub(r"[^\w.-]", "_", column)
    share: dict[str, object] = {"at_least": least} if least < 1 else {}
    rule.add(path, "matches", severity, name, column=column, pattern=known, **share)
    rule.remarks.append(f"{path}: needs the statistic matches:{known}_share of {column}, for {pattern}")


def _repeated(asked: Asked) -> bool:
    of, most = words(asked.arguments.get("properties", [])), asked.most
    column = asked.column or (of[0] if len(of) == 1 else None)
    if column is None or len(of) > 1 or most is None or (most > 0 and not asked.percent):
        return False
    tolerance: dict[str, object] = {"tolerance": most} if most else {}
    return asked.add("unique", column=column, **tolerance)


def _rows(asked: Asked) -> bool:
    lower, upper, above, below = asked.limits
    if asked.percent or asked.column is not None:
        return False
    bounds = {
        "min": None if lower is None else math.floor(lower) + 1 if above else math.ceil(lower),
        "max": None if upper is None else math.ceil(upper) - 1 if below else math.floor(upper),
    }
    given = {word: max(bound, 0) for word, bound in bounds.items() if bound is not None}
    remark = f"{asked.path}: of profiles of the whole table; take grain out if each load holds the whole of it"
    asked.rule.remarks.append(remark)
    return asked.add("row_count_between", **given, grain="table")


_METRICS: Final[dict[str, Callable[[Asked], bool]]] = {
    "nullValues": _nulls,
    "missingValues": _missing,
    "invalidValues": _invalid,
    "duplicateValues": _repeated,
    "rowCount": _rows,
}


# ---------------------------------------------------------------- service levels


def _sla(fragment: Fragment, rules: Mapping[str, Rule], promise: Table, path: str, timezone: str) -> None:
    name, value = str(promise.get("property", "")), promise.get("value")
    elements = [one.strip().partition(".")[0] for one in str(promise.get("element") or "").split(",")]
    named = [one for one in elements if one]
    for one in named:
        if one not in rules:
            fragment.notes.append(f"{path}: {name} of {one}, which the schema does not have")
    told = f"{path}: {name} {value} {promise.get('unit') or ''}".rstrip()
    if not named and (not rules or name.lower() not in FRESH | AVAILABLE):
        fragment.notes.append(told)
        return
    for rule in [rules[one] for one in dict.fromkeys(named) if one in rules] if named else rules.values():
        if not _promised(rule, promise, name, path, timezone):
            rule.notes.append(told)


def _promised(rule: Rule, promise: Table, name: str, path: str, timezone: str) -> bool:
    if name.lower() in FRESH:
        within = duration(promise.get("value"), promise.get("unit"))
        if within is None:
            return False
        rule.add(path, "fresh_within", "critical", name, within=within)
        if name.lower() in ("frequency", "fy"):
            rule.remarks.append(f"{path}: as strict as it is written; a load that is a minute late is too old")
        return True
    if name.lower() not in AVAILABLE or rule.deadline is not None:
        return False
    deadline = _deadline(str(promise.get("value")), timezone)
    rule.deadline = deadline
    return deadline is not None


def _deadline(value: str, timezone: str) -> dict[str, str] | None:
    """A time of the day; one with an offset from UTC in UTC."""
    found = _CLOCK.fullmatch(value.strip())
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        return None
    minutes, offset = 60 * int(found[1]) + int(found[2]), found[3]
    if offset is None:
        return {"at": f"{minutes // 60:02}:{minutes % 60:02}", "timezone": timezone}
    if offset != "Z":
        sign = -1 if offset[0] == "-" else 1
        minutes -= sign * (60 * int(offset[1:3]) + int(offset[4:6]))
    minutes %= 24 * 60
    return {"at": f"{minutes // 60:02}:{minutes % 60:02}", "timezone": "UTC"}
