"""What a dbt project promises becomes rules: out of its YAML, and out of its manifest."""

import json
from pathlib import Path

import pytest

from detector.config import load
from detector.core.declared import Check
from detector.core.declared.kinds import Between, FreshWithin, InSet, NotNull, Referential, Unique
from detector.core.rules import Rules
from detector.imports import dbt, manifest
from detector.imports.dbt import Names
from detector.imports.fragment import Fragment
from detector.settings import rules_of

PROJECT = Path(__file__).parent.parent / "samples" / "dbt"
FILES = {
    path.relative_to(PROJECT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(PROJECT.rglob("*.yml"))
}
NAMES = Names("snowflake://acme", {"stripe": "postgres://stripe:5432"}, "DWH.PUBLIC")
HOUR = 3_600.0


def rules(fragment: Fragment) -> Rules:
    return rules_of(load(fragment.text()))


def told(fragment: Fragment) -> str:
    """All comments, as one line."""
    return " ".join(line.strip().lstrip("# ") for line in fragment.text().splitlines())


def of(text: str) -> Fragment:
    """The fragment of one table `s.t`, with this below it."""
    file = f"sources:\n  - name: s\n    tables:\n      - name: t\n        {text}\n"
    return dbt.translated({"s.yml": file}, Names("db", {}), "p")


def fresh(*limits: tuple[str, float]) -> tuple[Check, ...]:
    return tuple(
        FreshWithin(within=hours * HOUR, name=name, severity="warning" if name == "warn_after" else "critical")
        for name, hours in limits
    )


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(
            "snowflake://acme/raw.shop_public.ORDERS_V2",
            (
                *fresh(("warn_after", 12), ("error_after", 48)),
                NotNull(column="order_id"),
                Unique(column="order_id"),
                InSet(column="status", values=("new", "paid", "shipped"), severity="warning"),
                Referential(column="customer_id", dataset="customers", key="id"),
                Between(column="amount", min=0, max=100_000),
            ),
            id="a limit of the table counts before that of its source, and the other holds",
        ),
        pytest.param(
            "snowflake://acme/raw.shop_public.customers",
            fresh(("warn_after", 12), ("error_after", 24)),
            id="a table has what its source has",
        ),
        pytest.param("snowflake://acme/raw.shop_public.stores", (), id="null switches it off"),
        pytest.param(
            "postgres://stripe:5432/stripe.payments",
            fresh(("error_after", 6)),
            id="one limit may be switched off; a source may be elsewhere",
        ),
        pytest.param(
            "snowflake://acme/DWH.PUBLIC.fct_orders",
            (
                NotNull(column="order_id"),
                Unique(column="order_id", severity="warning"),
                Referential(column="order_id", dataset="stg_orders", key="order_id"),
            ),
            id="the tests of a model",
        ),
    ],
)
def test_a_project_becomes_rules(key: str, expected: tuple[Check, ...]) -> None:
    assert rules(dbt.translated(FILES, NAMES, "shop")).of(f"dataset:{key}").checks == expected


def test_owners_and_tags_are_taken_along() -> None:
    found = rules(dbt.translated(FILES, NAMES, "shop"))
    orders, facts = (
        found.of(f"dataset:snowflake://acme/{n}") for n in ("raw.shop_public.ORDERS_V2", "DWH.PUBLIC.fct_orders")
    )

    assert (orders.owner, orders.tags) == ("team-ingest", ("raw",))
    assert (facts.owner, facts.tags) == ("team-orders", ("gold",))


@pytest.mark.parametrize(
    "said",
    [
        "dbt_project.yml: sources have +freshness for a whole folder, which is not applied",
        "models/broken.yml: cannot be read: line 4, column 4",
        "dim_stores: 1 tests; where it is built is not known: it has a database or a schema of its own",
        "source shop.retired: is not enabled",
        "source per_region.visits: where it is ({{ env_var('REGION_DB') }}.per_region.visits) is made when dbt runs",
        "fct_orders: test dbt_utils.unique_combination_of_columns",
        "source shop.orders: freshness with a filter: _loaded_at > current_date - 3",
        "source shop.orders.customer_id: test not_null with where created_at > '2020-01-01'",
        "source shop.orders.amount: test dbt_expectations.expect_column_stdev_to_be_between",
        "source stripe.refunds: loaded_at_query asks the data",
    ],
)
def test_what_could_not_be_translated_is_a_comment(said: str) -> None:
    fragment = dbt.translated(FILES, NAMES, "shop")

    assert said in told(fragment)
    assert fragment.untranslated == 10


def test_models_of_which_nobody_knows_where_they_are_built_are_said() -> None:
    fragment = dbt.translated(FILES, Names("snowflake://acme", {}), "shop")

    assert "fct_orders: 3 tests; where it is built is not known: give --models DATABASE.SCHEMA" in told(fragment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("columns: [{name: a, tests: [not_null]}]", [NotNull(column="a")], id="by the old word"),
        pytest.param("columns: [{name: a, data_tests: [{not_null: }]}]", [NotNull(column="a")], id="a table of one"),
        pytest.param(
            "columns: [{name: a, data_tests: [{accepted_values: {values: [1, 2], severity: warn}}]}]",
            [InSet(column="a", values=(1, 2), severity="warning")],
            id="settings beside the arguments, as before",
        ),
        pytest.param(
            "columns: [{name: a, data_tests: [{dbt_utils.not_null_proportion: {at_least: 0.95}}]}]",
            [NotNull(column="a", at_most=0.05)],
            id="a proportion",
        ),
        pytest.param("data_tests: [{unique: {column_name: a}}]", [Unique(column="a")], id="of a table, with a column"),
        pytest.param(
            "columns: [{name: a, constraints: [{type: primary_key}]}]",
            [NotNull(column="a"), Unique(column="a")],
            id="a constraint",
        ),
        pytest.param("columns: [{name: a, constraints: [{type: check}]}]", [], id="a constraint that is a query"),
        pytest.param("data_tests: [not_null]", [], id="of a table, without a column"),
        pytest.param("columns: [{name: a, data_tests: [{unique: {config: {enabled: false}}}]}]", [], id="not enabled"),
        pytest.param("columns: [{name: a, data_tests: [{unique: {config: {error_if: '>5'}}}]}]", [], id="a threshold"),
        pytest.param("columns: [{name: a, data_tests: [{relationships: {to: x, field: b}}]}]", [], id="no ref"),
        pytest.param("columns: [{name: a, data_tests: [{accepted_values: {values: []}}]}]", [], id="no values"),
        pytest.param("freshness: {warn_after: {count: 3, period: month}}", [], id="a period that is none"),
        pytest.param(
            "columns: [{name: a, data_tests: [{dbt_utils.accepted_range: {min_value: other_column}}]}]", [], id="SQL"
        ),
    ],
)
def test_what_stands_below_a_table_becomes_a_check_or_a_comment(text: str, expected: list[Check]) -> None:
    fragment = of(text)

    assert [*(rules(fragment).of("dataset:db/s.t").checks if expected else ())] == expected
    assert (fragment.checks, fragment.untranslated) == (len(expected), not expected)


def test_a_manifest_becomes_rules_with_the_names_that_dbt_has_resolved() -> None:
    read = json.loads((PROJECT / "manifest.json").read_text(encoding="utf-8"))
    fragment = manifest.translated(read, Names("snowflake://acme", {}), "manifest.json")
    found = rules(fragment)
    orders = found.of("dataset:snowflake://acme/RAW.SHOP_PUBLIC.ORDERS_V2")

    assert orders.checks == (*fresh(("warn_after", 12)), Between(column="amount", min=0, severity="warning"))
    assert orders.owner == "team-ingest"
    assert found.of("dataset:snowflake://acme/DWH.PUBLIC.FCT_ORDERS").checks == (NotNull(column="order_id"),)
    assert "test.shop.no_orders_of_tomorrow: a query of its own" in told(fragment)
    assert "test relationships with error_if >10" in told(fragment)
    assert fragment.untranslated == 2


@pytest.mark.parametrize("read", [{}, {"sources": 3}, {"nodes": {"a": 3}}, {"nodes": {"a": {"resource_type": "test"}}}])
def test_what_is_no_manifest_breaks_nothing(read: dict[str, object]) -> None:
    load(manifest.translated(read, NAMES, "m").text())
