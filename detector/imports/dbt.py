"""What a dbt project promises: the freshness of its sources, and its generic tests, out of the YAML of the project."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from detector.config import parse
from detector.errors import ConfigError
from detector.imports.fragment import Fragment, Rule
from detector.imports.reading import duration, number, table, tables, words

Table = Mapping[str, Any]
PROJECT: Final = "dbt_project.yml"
_REF: Final = re.compile(r"""(?:ref|source)\(\s*(?:['"][^'"]+['"]\s*,\s*)*['"]([^'"]+)['"]""")
_ABSENT: Final = object()
SETTINGS: Final = ("where", "limit", "error_if", "warn_if", "fail_calc", "store_failures_as")
KINDS_OF_MODELS: Final = ("models", "seeds", "snapshots")


@dataclass(frozen=True, slots=True)
class Names:
    """How datasets are called: the namespace of all, or of a source by its name; `models` is where models are built."""

    namespace: str
    sources: Mapping[str, str]
    models: str = ""

    def of_source(self, source: str, name: str) -> str:
        """The dataset that a table of a source is."""
        return f"{self.sources.get(source, self.namespace)}/{name}"


def translated(files: Mapping[str, str], names: Names, title: str) -> Fragment:
    """The rules of the YAML files of a project, by their paths."""
    fragment = Fragment(
        f"From {title}. dbt asks the data how new it is (loaded_at_field); Detector goes by when the last load came."
    )
    for path, text in files.items():
        try:
            read = parse(text)
        except ConfigError as error:
            fragment.notes.append(f"{path}: cannot be read: {error}")
            continue
        if path.rpartition("/")[2] == PROJECT:
            _project(fragment, read, path)
            continue
        for source in tables(read.get("sources")):
            _source(fragment, source, names, path)
        for kind in KINDS_OF_MODELS:
            for model in tables(read.get(kind)):
                _model(fragment, model, names, f"{path}: {model.get('name')}")
    return fragment


def _project(fragment: Fragment, project: Table, path: str) -> None:
    """Settings for whole folders are not applied: which of them are of freshness or of tests is said."""
    for kind in ("sources", "tests", "data_tests"):
        for name in _keys(project.get(kind)):
            if name.lstrip("+") in ("freshness", "severity", "where", "enabled", "error_if", "warn_if", "limit"):
                fragment.notes.append(f"{path}: {kind} have {name} for a whole folder, which is not applied")


def _keys(value: Any) -> Iterator[str]:
    for key, inner in table(value).items():
        yield str(key)
        yield from _keys(inner)


# ---------------------------------------------------------------- sources


def _source(fragment: Fragment, source: Table, names: Names, path: str) -> None:
    name = str(source.get("name"))
    place = [str(part) for part in (source.get("database"), source.get("schema") or name) if part]
    for one in tables(source.get("tables")):
        called = f"{path}: source {name}.{one.get('name')}"
        relation = ".".join([*place, str(one.get("identifier") or one.get("name"))])
        if "{{" in relation:
            fragment.notes.append(f"{called}: where it is ({relation}) is made when dbt runs")
            continue
        if _setting(one, "enabled") is False or (
            _setting(source, "enabled") is False and _setting(one, "enabled") is _ABSENT
        ):
            fragment.notes.append(f"{called}: is not enabled")
            continue
        rule = Rule(names.of_source(name, relation), owner_of(one) or owner_of(source), tags_of(source, one))
        add_freshness(rule, _setting(source, "freshness"), _setting(one, "freshness"), called)
        if _setting(one, "loaded_at_query") is not _ABSENT or _setting(source, "loaded_at_query") is not _ABSENT:
            rule.notes.append(f"{called}: loaded_at_query asks the data")
        _tests(rule, one, called)
        if rule.checks or rule.notes:
            fragment.rules.append(rule)


def _setting(described: Table, name: str) -> Any:
    """A setting of a source or a model, which may stand below `config`; null is one, too."""
    config = table(described.get("config"))
    return config[name] if name in config else described.get(name, _ABSENT)


def owner_of(described: Table) -> str | None:
    """Who owns a source or a model, by its `meta`."""
    meta = {**table(described.get("meta")), **table(table(described.get("config")).get("meta"))}
    return meta["owner"] if isinstance(meta.get("owner"), str) else None


def tags_of(*described: Table) -> list[str]:
    """The tags of several that belong together."""
    return list(dict.fromkeys(tag for one in described for tag in words(_setting(one, "tags"))))


def add_freshness(rule: Rule, of_source: Any, of_table: Any, path: str) -> None:
    """Each limit of the table counts before that of the source; null is none."""
    if of_table is None or (of_source in (None, _ABSENT) and of_table is _ABSENT):
        return
    outer, inner = table(of_source), table(of_table)
    for name, severity in (("warn_after", "warning"), ("error_after", "critical")):
        limit = inner[name] if name in inner else outer.get(name)
        if not limit:
            continue
        within = duration(table(limit).get("count"), table(limit).get("period"))
        if within is None:
            rule.notes.append(f"{path}: freshness {name} {limit}")
        else:
            rule.add(path, "fresh_within", severity, name, within=within)
    condition = inner.get("filter", outer.get("filter"))
    if condition:
        rule.notes.append(f"{path}: freshness with a filter: {condition}")


# ---------------------------------------------------------------- models and tests


def _model(fragment: Fragment, model: Table, names: Names, path: str) -> None:
    alias = _setting(model, "alias")
    called = str(model.get("name") if alias is _ABSENT else alias)
    rule = Rule(f"{names.namespace}/{names.models}.{called}", owner_of(model), tags_of(model))
    _tests(rule, model, path)
    if _setting(model, "freshness") is not _ABSENT:
        rule.notes.append(f"{path}: the freshness of a model says when it is to be built")
    if not (rule.checks or rule.notes):
        return
    if names.models and _setting(model, "database") is _setting(model, "schema") is _ABSENT:
        fragment.rules.append(rule)
    else:
        why = "give --models DATABASE.SCHEMA" if not names.models else "it has a database or a schema of its own"
        fragment.notes.append(f"{path}: {len(rule.checks)} tests; where it is built is not known: {why}")
        fragment.notes += rule.notes


def _tests(rule: Rule, described: Table, path: str) -> None:
    for test in _listed(described):
        add_test(rule, test, None, path)
    for column in tables(described.get("columns")):
        name = str(column.get("name"))
        for test in _listed(column):
            add_test(rule, test, name, f"{path}.{name}")
        for constraint in tables(column.get("constraints")):
            _constraint(rule, str(constraint.get("type")), name, f"{path}.{name}")
    for constraint in tables(described.get("constraints")):
        rule.notes.append(f"{path}: constraint {constraint.get('type')} of the table")


def _listed(described: Table) -> list[Any]:
    """`tests` is what `data_tests` were called before."""
    found: list[Any] = []
    for key in ("tests", "data_tests"):
        listed = described.get(key)
        found += listed if isinstance(listed, list) else []
    return found


def add_test(rule: Rule, test: Any, column: str | None, path: str) -> None:
    """Add a generic test to a rule, or a note on it."""
    kind, given = _spread(test)
    config = {**table(given.get("config")), **{key: given[key] for key in ("severity", *SETTINGS) if key in given}}
    column = column or (str(given["column_name"]) if "column_name" in given else None)
    severity = "warning" if str(config.get("severity", "")).lower() == "warn" else "critical"
    arguments = {**given, **table(given.get("arguments"))}
    only = [f"{key} {config[key]}" for key in SETTINGS if key in config]
    if config.get("enabled") is False:
        rule.notes.append(f"{path}: {kind} is not enabled")
    elif only or column is None or not _generic(rule, kind, column, arguments, severity, path):
        rule.notes.append(f"{path}: test {kind}{' with ' + ', '.join(only) if only else ''}")


def _constraint(rule: Rule, kind: str, column: str, path: str) -> None:
    kinds = {"not_null": ("not_null",), "unique": ("unique",), "primary_key": ("not_null", "unique")}.get(kind)
    for one in kinds or ():
        rule.add(path, one, column=column)
    if kinds is None:
        rule.notes.append(f"{path}: constraint {kind}")


def _spread(test: Any) -> tuple[str, Table]:
    """The kind of a test and its arguments: it may be a word, a table of one, or say its `test_name`."""
    if not isinstance(test, Mapping):
        return str(test), {}
    if "test_name" in test:
        return str(test["test_name"]), test
    others = [key for key in test if key not in ("name", "description", "config", "arguments")]
    if len(others) != 1:
        return str(test.get("name", "of no kind")), test
    beside = {key: value for key, value in test.items() if key != others[0]}
    return str(others[0]), {**beside, **table(test[others[0]])}


def _generic(rule: Rule, kind: str, column: str, given: Table, severity: str, path: str) -> bool:
    match kind:
        case "not_null" | "unique":
            rule.add(path, kind, severity, column=column)
        case "accepted_values" if isinstance(given.get("values"), list) and given["values"]:
            rule.add(path, "in_set", severity, column=column, values=list(given["values"]))
        case "relationships" if _REF.search(str(given.get("to"))) and given.get("field"):
            _relation(rule, column, given, severity, path)
        case "dbt_utils.accepted_range" if given.get("inclusive", True) is True:
            bounds: dict[str, Any] = {"min": given.get("min_value"), "max": given.get("max_value")}
            given_bounds = {word: bound for word, bound in bounds.items() if bound is not None}
            rule.add(path, "between", severity, column=column, **given_bounds)
        case "dbt_utils.not_null_proportion" if number(given.get("at_least")) is not None:
            rule.add(path, "not_null", severity, column=column, at_most=round(1 - float(given["at_least"]), 12))
        case _:
            return False
    return True


def _relation(rule: Rule, column: str, given: Table, severity: str, path: str) -> None:
    to = _REF.search(str(given["to"]))
    assert to is not None
    rule.add(path, "referential", severity, column=column, dataset=to[1], key=str(given["field"]))
    rule.remarks.append(f"{path}: needs the statistic missing_in:{to[1]}.{given['field']}_share of {column}")
