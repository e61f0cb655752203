"""The same out of the manifest that dbt makes, where every name is resolved and settings of folders are applied."""

from collections.abc import Mapping
from typing import Any, Final

from detector.imports.dbt import SETTINGS, Names, add_freshness, add_test, owner_of, tags_of
from detector.imports.fragment import Fragment, Rule
from detector.imports.reading import table, words

Table = Mapping[str, Any]

TABLES: Final = frozenset({"model", "seed", "snapshot"})
DEFAULTS: Final = {"warn_if": "!= 0", "error_if": "!= 0", "fail_calc": "count(*)"}


def translated(manifest: Table, names: Names, title: str) -> Fragment:
    """The rules of a manifest."""
    version = table(manifest.get("metadata")).get("dbt_version", "of no version")
    fragment = Fragment(
        f"From {title}, made by dbt {version}. dbt asks the data how new it is (loaded_at_field);"
        " Detector goes by when the last load came."
    )
    rules = {key: _of_source(table(node), names) for key, node in table(manifest.get("sources")).items()}
    nodes = {key: table(node) for key, node in table(manifest.get("nodes")).items()}
    for key, node in nodes.items():
        if node.get("resource_type") in TABLES:
            rules[key] = Rule(f"{names.namespace}/{_relation(node, 'alias')}", owner_of(node), tags_of(node))
    for key, node in nodes.items():
        if node.get("resource_type") == "test":
            _test(fragment, rules, key, node)
    fragment.rules = [rule for rule in rules.values() if rule.checks or rule.notes]
    return fragment


def _of_source(source: Table, names: Names) -> Rule:
    called = f"source {source.get('source_name')}.{source.get('name')}"
    dataset = names.of_source(str(source.get("source_name")), _relation(source, "identifier"))
    rule = Rule(dataset, owner_of(source), tags_of(source))
    freshness = source.get("freshness")
    limits = {name: limit for name, limit in table(freshness).items() if name == "filter" or table(limit).get("count")}
    add_freshness(rule, None, limits or None, called)
    if source.get("loaded_at_query"):
        rule.notes.append(f"{called}: loaded_at_query asks the data")
    return rule


def _relation(node: Table, last: str) -> str:
    parts = (node.get("database"), node.get("schema"), node.get(last) or node.get("name"))
    return ".".join(str(part) for part in parts if part)


def _test(fragment: Fragment, rules: Mapping[str, Rule], key: str, node: Table) -> None:
    metadata, of = table(node.get("test_metadata")), words(table(node.get("depends_on")).get("nodes", []))
    attached = node.get("attached_node") or (of[0] if len(of) == 1 else None)
    rule = rules.get(str(attached))
    if not metadata or rule is None:
        why = "a query of its own" if not metadata else "of which table is not known"
        fragment.notes.append(f"{key}: {why}")
        return
    config = {
        name: value
        for name, value in table(node.get("config")).items()
        if name in ("severity", "enabled") or (name in SETTINGS and value is not None and value != DEFAULTS.get(name))
    }
    space, arguments = metadata.get("namespace"), table(metadata.get("kwargs"))
    kind = f"{space}.{metadata['name']}" if space else str(metadata.get("name"))
    test = {**arguments, "test_name": kind, "config": config}
    add_test(rule, test, node.get("column_name") or arguments.get("column_name"), key)
