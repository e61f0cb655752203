"""The helpers for frameworks, with the frameworks themselves, in environments of their own."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.world import WHY, Api, opened, serving, value
from tests.services.airflow import installed
from tests.services.environments import python_with
from tests.services.requirements import unavailable

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # the first time, each is installed

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "frameworks"
DAGSTER, PREFECT = "dagster==1.13.29 msgspec", "prefect==3.9.1 msgspec"
OPEN, CLOSED, UNKNOWN = "job:airflow/bad", "job:airflow/good", "job:airflow/nobody"
TOLD = f"{OPEN} may not go on: open for 1 d: {WHY}."


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    api = Api()
    api.values = {OPEN: opened(OPEN), CLOSED: value(CLOSED)}
    with serving(api) as url:
        yield url


def told_by(python: Path, script: str, url: str, folder: Path, **environment: str) -> Any:
    """What a script prints, run by this Python, in which Detector is not installed but found."""
    settings = {"DETECTOR_URL": url, "PYTHONPATH": str(ROOT), "HOME": str(folder), **environment}
    done = subprocess.run(
        [str(python), str(SCRIPTS / script)],
        env={"PATH": f"{python.parent}:{os.environ['PATH']}", **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_airflow_fails_without_a_retry_and_never_skips(url: str, tmp_path: Path) -> None:
    try:
        python = installed()
    except RuntimeError as error:
        unavailable(f"this needs Airflow: {error}")

    said = told_by(python, "with_airflow.py", url, tmp_path, AIRFLOW__OPENLINEAGE__NAMESPACE="prod")

    assert said["gates"][OPEN].startswith(f"AirflowFailException: {TOLD}")
    assert said["gates"][CLOSED]["outcome"] == "allowed"
    assert said["gates"][UNKNOWN]["outcome"] == "allowed_although_unknown"
    assert said["strict"].startswith("AirflowFailException: job:airflow/nobody may not go on: nobody knows")
    assert said["reads of a job"] is None
    assert said["sensors"] == {OPEN: False, CLOSED: True, UNKNOWN: True}
    assert said["decorated"][OPEN].startswith("AirflowFailException")
    assert [said["decorated"][name] for name in (CLOSED, UNKNOWN)] == ["loaded", "loaded"]
    assert said["before"][OPEN].startswith("AirflowFailException")
    assert said["before"][CLOSED] is None
    assert all("would skip the task" in told for told in said["skips"])
    assert (said["mode"], said["named"]) == ("reschedule", "job:prod/shop.load")


def environment(name: str, release: str) -> Path:
    try:
        return python_with(name, release)
    except RuntimeError as error:
        unavailable(f"this needs {name}: {error}")
        raise


def test_dagster_fails_without_a_retry_and_holds_what_is_downstream(url: str, tmp_path: Path) -> None:
    python = environment("dagster", DAGSTER)

    said = told_by(python, "with_dagster.py", url, tmp_path, DAGSTER_HOME="", DAGSTER_DISABLE_TELEMETRY="1")

    assert (said["bad"]["success"], said["bad"]["retried"], said["tries"]) == (False, False, [])
    assert said["bad"]["told"][0].startswith(TOLD)
    assert said["good"]["ran"] == ["good"]
    assert said["strict"]["told"][0].startswith(f"{UNKNOWN} may not go on: nobody knows")
    assert (said["held"]["ran"], said["held"]["checks"]) == (["orders"], {"orders": [False, "ERROR"]})
    assert (said["unknown"]["ran"], said["unknown"]["checks"]) == (["orders", "report"], {"orders": [False, "WARN"]})
    assert (said["passed"]["ran"], said["passed"]["checks"]["orders"][0]) == (["orders", "report"], True)


def test_prefect_fails_without_a_retry(url: str, tmp_path: Path) -> None:
    python = environment("prefect", PREFECT)

    # Its server keeps house in a SQLite of its own: the less of that, the less it waits for itself.
    settings = {"PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1", "PREFECT_SERVER_DATABASE_TIMEOUT": "60"}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false"}
    said = told_by(python, "with_prefect.py", url, tmp_path, **settings, **quiet)

    assert (said["state"][0], TOLD in said["state"][1]) == ("FAILED", True)
    assert said["raised"].startswith(f"BreakerOpen: {TOLD}")
    assert (said["good"], said["beside"]) == ("loaded", "loaded")
    assert (said["whole"][0], TOLD in said["whole"][1]) == ("FAILED", True)
    assert said["ran"] == ["good", "good", "nobody"]
