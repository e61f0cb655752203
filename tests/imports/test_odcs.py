"""Data contracts become rules, and what cannot be translated is said."""

from pathlib import Path
from typing import Any

import pytest

from detector.config import load, parse
from detector.core.declared import Check
from detector.core.declared.kinds import (
    Between,
    FreshWithin,
    InSet,
    Matches,
    NotNull,
    Referential,
    RowCountBetween,
    Unique,
)
from detector.core.schedule import Deadline
from detector.errors import ConfigError
from detector.imports.fragment import Fragment
from detector.imports.naming import place
from detector.imports.odcs import translated
from detector.settings import rules_of

SAMPLE = Path(__file__).parent.parent / "samples" / "contracts" / "orders.odcs.yaml"
CONTRACT = parse(SAMPLE.read_text(encoding="utf-8"))
ORDERS, CUSTOMERS = (f"dataset:snowflake://acme-prod/DWH.PUBLIC.{name}" for name in ("ORDERS", "customers"))


def of_quality(*checks: dict[str, Any], of_table: bool = False) -> Fragment:
    """A contract with these checks, of the column `a` or of the table."""
    column = {"name": "a", "quality": [] if of_table else list(checks)}
    described = {"name": "t", "quality": list(checks) if of_table else [], "properties": [column]}
    return translated({"schema": [described]}, "c", namespace="db")


def of_sla(*promises: dict[str, Any], timezone: str = "UTC") -> Fragment:
    return translated({"schema": [{"name": "t"}], "slaProperties": list(promises)}, "c", "", "db", timezone)


def checks(fragment: Fragment, key: str = "dataset:db/t") -> tuple[Check, ...]:
    """The checks that the fragment makes, once it is read as a configuration."""
    return rules_of(load(fragment.text())).of(key).checks


def test_a_contract_becomes_rules_that_the_configuration_takes() -> None:
    rules = rules_of(load(translated(CONTRACT, SAMPLE.name, "production").text()))
    orders = rules.of(ORDERS)

    assert orders.checks == (
        RowCountBetween(min=1_001, grain="table"),
        NotNull(column="ORDER_ID"),
        Unique(column="ORDER_ID"),
        Unique(column="ORDER_ID", tolerance=0.01, name="few repeats"),
        InSet(column="status", values=("new", "paid", "shipped"), severity="warning"),
        Between(column="amount", min=0),
        NotNull(column="amount", at_most=0.015),
        Matches(column="iban", pattern="iban"),
        Referential(column="customer_id", dataset="customers", key="id"),
        NotNull(column="address.country"),
        FreshWithin(within=26 * 3_600.0, name="latency"),
        FreshWithin(within=86_400.0, name="frequency"),
    )
    assert (orders.owner, orders.tags) == ("team-orders", ("sales", "gold", "pii"))
    assert isinstance(orders.deadline, Deadline)
    assert f"{orders.deadline.at:%H:%M}" == "17:00"  # 09:00 eight hours west of Greenwich
    assert rules.of(CUSTOMERS).checks == (NotNull(column="id"), Unique(column="id"))


@pytest.mark.parametrize(
    "said",
    [
        "orders.quality[1]: duplicateValues mustBe 0 (the combination must be unique)",
        "orders.quality[2] (sql): no orders of tomorrow",
        "orders.quality[3] (text): Orders are complete two hours after midnight.",
        "orders.amount.logicalTypeOptions.multipleOf: 0.01",
        "orders.amount.quality[1]: nullValues mustNotBe 7 (nullValues)",
        "orders.iban.quality[1]: missingValues mustBeLessThan 100 (missingValues)",
        "customers.id.quality[0] (custom): soda",
        "slaProperties[3]: timeOfAvailability 08:00-08:00",
        "slaProperties[4]: retention 3 y",
        "slaProperties[5]: latency of returns, which the schema does not have",
        "slaProperties[6]: generalAvailability 2026-05-12T09:30:10-08:00",
    ],
)
def test_what_could_not_be_translated_is_a_comment(said: str) -> None:
    fragment = translated(CONTRACT, SAMPLE.name, "production")
    lines = " ".join(line.strip("# ") for line in fragment.text().splitlines())

    assert f"NOT TRANSLATED: {said}" in lines
    assert fragment.untranslated == 11


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        pytest.param({"metric": "nullValues", "mustBe": 0}, [NotNull(column="a")], id="no nulls"),
        pytest.param({"rule": "nullValues", "mustBe": 0}, [NotNull(column="a")], id="by the old word"),
        pytest.param({"metric": "nullValues", "mustBeLessThan": 5}, [NotNull(column="a", at_most_rows=4)], id="below"),
        pytest.param(
            {"metric": "nullValues", "mustBeLessOrEqualTo": 5}, [NotNull(column="a", at_most_rows=5)], id="at most"
        ),
        pytest.param(
            {"metric": "nullValues", "mustBeBetween": [0, 2], "unit": "percent"},
            [NotNull(column="a", at_most=0.02)],
            id="a band of percents",
        ),
        pytest.param({"metric": "nullValues", "mustBe": 3}, [], id="so many nulls and no others"),
        pytest.param({"metric": "nullValues", "mustBeGreaterThan": 3}, [], id="nulls that must be there"),
        pytest.param({"metric": "nullValues"}, [], id="no operator"),
        pytest.param({"metric": "nullValues", "mustBe": "none"}, [], id="no number"),
        pytest.param({"metric": "duplicateValues", "mustBe": 0}, [Unique(column="a")], id="no repeats"),
        pytest.param({"metric": "duplicateValues", "mustBeLessThan": 10}, [], id="some rows that repeat"),
        pytest.param(
            {"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": [1, "x", None]}},
            [InSet(column="a", values=(1, "x"))],
            id="a set, in which null is not a value",
        ),
        pytest.param(
            {"metric": "invalidValues", "mustBeLessThan": 5, "arguments": {"validValues": ["x"]}}, [], id="some others"
        ),
        pytest.param(
            {"metric": "invalidValues", "mustBeLessOrEqualTo": 1, "unit": "percent", "arguments": {"pattern": "^x"}},
            [Matches(column="a", pattern="a", at_least=0.99)],
            id="a pattern that most have",
        ),
        pytest.param(
            {"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": [None]}},
            [NotNull(column="a")],
            id="nothing but null is missing",
        ),
        pytest.param(
            {"metric": "nullValues", "mustBe": 0, "severity": "low", "name": "ids"},
            [NotNull(column="a", severity="warning", name="ids")],
            id="a name and a severity",
        ),
        pytest.param({"metric": "freshness", "mustBe": 0}, [], id="a metric of nobody"),
    ],
)
def test_a_metric_of_a_property_becomes_a_check_or_a_comment(check: dict[str, Any], expected: list[Check]) -> None:
    fragment = of_quality(check)

    assert [*(checks(fragment) if expected else ())] == expected
    assert fragment.untranslated == (not expected)


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        pytest.param({"mustBe": 5}, (5, 5), id="exactly"),
        pytest.param({"mustBeGreaterThan": 5}, (6, None), id="more than"),
        pytest.param({"mustBeGreaterOrEqualTo": 5}, (5, None), id="at least"),
        pytest.param({"mustBeLessThan": 5}, (None, 4), id="less than"),
        pytest.param({"mustBeLessOrEqualTo": 5}, (None, 5), id="at most"),
        pytest.param({"mustBeBetween": [5, 9]}, (5, 9), id="between"),
        pytest.param({"mustBeGreaterThan": 5, "mustBeLessThan": 9}, (6, 8), id="two operators"),
        pytest.param({"mustNotBeBetween": [5, 9]}, None, id="not between"),
        pytest.param({"mustBeBetween": [9, 5]}, None, id="a band that nothing is in"),
    ],
)
def test_rows_become_a_band_of_profiles_of_the_whole_table(
    operators: dict[str, Any], expected: tuple[float | None, float | None] | None
) -> None:
    fragment = of_quality({"metric": "rowCount", **operators}, of_table=True)

    if expected is None:
        assert (fragment.checks, fragment.untranslated) == (0, 1)
    else:
        assert checks(fragment) == (RowCountBetween(min=expected[0], max=expected[1], grain="table"),)


@pytest.mark.parametrize(
    ("value", "timezone", "expected"),
    [
        pytest.param("09:00", "Europe/Berlin", "09:00 Europe/Berlin", id="where it is asked for"),
        pytest.param("09:00Z", "Europe/Berlin", "09:00 UTC", id="in UTC"),
        pytest.param("09:00-08:00", "UTC", "17:00 UTC", id="west"),
        pytest.param("04:00+05:30", "UTC", "22:30 UTC", id="east, on the day before"),
        pytest.param("in the morning", "UTC", None, id="no time"),
        pytest.param("25:00", "UTC", None, id="no time of a day"),
    ],
)
def test_a_time_of_availability_becomes_a_deadline(value: str, timezone: str, expected: str | None) -> None:
    fragment = of_sla({"property": "timeOfAvailability", "value": value}, timezone=timezone)

    if expected is None:
        assert fragment.untranslated == 1
    else:
        deadline = rules_of(load(fragment.text())).of("dataset:db/t").deadline
        assert isinstance(deadline, Deadline)
        assert f"{deadline.at:%H:%M} {deadline.zone.key}" == expected


@pytest.mark.parametrize(("value", "unit"), [(3, "y"), (1, "m"), ("soon", "h"), (0, "h")])
def test_an_age_in_a_unit_that_may_be_another_is_not_translated(value: object, unit: str) -> None:
    fragment = of_sla({"property": "latency", "value": value, "unit": unit})

    assert (fragment.checks, fragment.untranslated) == (0, 1)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        pytest.param(
            {"type": "postgres", "host": "db", "database": "d", "schema": "s"}, "postgres://db:5432/d.s.t", id="pg"
        ),
        pytest.param({"type": "mysql", "host": "db", "port": 1, "database": "d"}, "mysql://db:1/d.t", id="MySQL"),
        pytest.param({"type": "bigquery", "project": "p", "dataset": "d"}, "bigquery/p.d.t", id="BigQuery"),
        pytest.param({"type": "kafka", "host": "k:9092"}, "kafka://k:9092/t", id="Kafka"),
        pytest.param({"type": "s3", "location": "s3://lake/raw/*.json"}, "s3://lake/t", id="S3"),
        pytest.param(
            {"type": "redshift", "host": "c.x1.eu-west-1.redshift.amazonaws.com", "database": "d", "schema": "s"},
            "redshift://c.eu-west-1:5439/d.s.t",
            id="Redshift",
        ),
        pytest.param({"type": "sftp", "location": "sftp://x"}, None, id="what OpenLineage has no name for"),
        pytest.param({"type": "snowflake"}, None, id="what lacks its name"),
    ],
)
def test_a_table_is_called_as_openlineage_calls_it(server: dict[str, Any], expected: str | None) -> None:
    found = place(server)

    assert (found and found.dataset("t")) == expected


@pytest.mark.parametrize(
    ("contract", "server", "said"),
    [
        pytest.param(CONTRACT, "", "has several servers: name one with --server: production, staging", id="several"),
        pytest.param(CONTRACT, "prod", "has no server prod; it has: production, staging", id="another"),
        pytest.param({}, "", "names no server: give the --namespace", id="none"),
        pytest.param({"servers": [{"server": "x", "type": "sftp"}]}, "", "of type sftp is not known", id="unknown"),
    ],
)
def test_a_server_that_is_not_clear_is_asked_for(contract: dict[str, Any], server: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("-", "[-]")):
        translated(contract, "c", server)


def test_a_name_with_a_star_in_it_matches_nothing_else() -> None:
    rules = rules_of(
        load(
            translated(
                {"schema": [{"name": "a*[b]", "quality": [], "properties": [{"name": "c", "required": True}]}]},
                "c",
                namespace="db",
            ).text()
        )
    )

    assert rules.of("dataset:db/a*[b]").checks
    assert not rules.of("dataset:db/ab").checks


@pytest.mark.parametrize(
    "contract", [{}, {"schema": 3}, {"schema": [3, {}]}, {"slaProperties": [{"value": 3}]}, {"team": 4}]
)
def test_what_is_no_contract_breaks_nothing(contract: dict[str, Any]) -> None:
    load(translated(contract, "c", namespace="db").text())
