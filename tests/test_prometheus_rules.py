"""The rules of deploy/prometheus: valid, each tried by promtool to fire and not to, each with a page on what to do."""

import re
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from detector.config import load
from detector.telemetry import Telemetry
from tests.services.requirements import require

ROOT = Path(__file__).parent.parent
PLACE = ROOT / "deploy" / "prometheus"
RULES: list[dict[str, Any]] = yaml.safe_load((PLACE / "rules.yml").read_text())["groups"][0]["rules"]
CASES: list[dict[str, Any]] = yaml.safe_load((PLACE / "rules_test.yml").read_text())["tests"]
PAGE = ROOT / "docs" / "alerts-on-detector.md"
RUNBOOK = "https://example.com/detector/docs/alerts-on-detector.md#"
NAMES = [rule["alert"] for rule in RULES]
KNOWN = {row.name for row in Telemetry().metrics.rows} | {"up"}

rule_by_rule = pytest.mark.parametrize("rule", RULES, ids=NAMES)


def promtool(*arguments: str) -> None:
    require("promtool")
    done = subprocess.run(["promtool", *arguments], cwd=PLACE, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.integration
def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    promtool("check", "rules", "--lint-fatal", "rules.yml")


@pytest.mark.integration
def test_promtool_finds_nothing_wrong_with_the_configuration() -> None:
    promtool("check", "config", "prometheus.yml")


@pytest.mark.integration
def test_every_alert_fires_when_it_must_and_not_before() -> None:
    promtool("test", "rules", "rules_test.yml")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Watchdog"])
def test_an_alert_is_tried_both_ways(name: str) -> None:
    (case,) = [case for case in CASES if case["name"] == name]
    quiet, loud = case["promql_expr_test"]

    asked = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
    assert (quiet["expr"], loud["expr"]) == (asked, asked)
    assert (len(quiet["exp_samples"]), len(loud["exp_samples"])) == (0, 1)


@rule_by_rule
def test_a_rule_names_metrics_that_there_are(rule: dict[str, Any]) -> None:
    expression = str(promql_parser.parse(rule["expr"]))

    assert set(re.findall(r"\b(?:detector_\w+|up)\b", expression)) <= KNOWN


@rule_by_rule
def test_a_rule_says_how_bad_it_is_and_what_it_means(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "none"}
    assert rule["labels"]["service"] == "detector"
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}


@rule_by_rule
def test_a_rule_leads_to_a_section_of_the_page(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook_url"] == RUNBOOK + rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in PAGE.read_text()


def test_the_page_has_a_section_for_no_other_alert_and_in_the_order_of_the_rules() -> None:
    assert re.findall(r"^### (\w+)$", PAGE.read_text(), re.MULTILINE) == NAMES


def test_the_table_of_the_page_is_made_of_the_rules(update_golden: bool) -> None:
    lines = [f"| [{r['alert']}](#{r['alert'].lower()}) | {r['labels']['severity']} | {when(r)} |\n" for r in RULES]
    table = f"\n| alert | severity | when |\n|---|---|---|\n{''.join(lines)}\n"
    made = re.sub(
        r"(?<=<!-- rules -->\n).*?(?=<!-- end -->)", lambda _: table, PAGE.read_text(), count=1, flags=re.DOTALL
    )
    if update_golden:
        PAGE.write_text(made)

    assert PAGE.read_text() == made, "pytest tests/test_prometheus_rules.py --update-golden"


def when(rule: dict[str, Any]) -> str:
    """The expression in a cell of a table, and for how long it must hold."""
    expression = " ".join(rule["expr"].split()).replace("|", "\\|")
    return f"`{expression}`" + (f" for {rule['for']}" if "for" in rule else "")


def test_limits_are_those_of_the_program() -> None:
    (still,) = [rule for rule in RULES if rule["alert"] == "DetectorTimeStandsStill"]

    assert still["expr"] == f"max(detector_time_lag_seconds) > {load('').time.gap:.0f}"


def test_counters_that_rules_watch_begin_at_zero() -> None:
    """`increase` does not see how a series begins, so that the first of its kind would go unnoticed."""
    registry = Telemetry().registry
    samples = {(s.name, *sorted(s.labels.values())) for m in registry.collect() for s in m.samples}

    assert ("detector_replay_mismatches_total", "false") in samples
    assert ("detector_waits_total", "view") in samples
    assert ("detector_partitions_refused_total", "LogMoved") in samples
