"""`detector local`, as somebody uses it who has nothing but Python: one terminal for it, another for events."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_IMODE

import httpx
import pytest

from detector.errors import DetectorError
from detector.local import told
from tests.services.waiting import eventually

COMMAND = [sys.executable, "-m", "detector"]
TABLE = "dataset:warehouse/orders"


def run_event(ago: int, rows: int) -> str:
    end = datetime.now(UTC) - timedelta(days=ago)
    written = {"namespace": "warehouse", "name": "orders", "rows": rows}
    told = {"namespace": "airflow", "name": "load", "run_id": f"{ago}-{rows}", "state": "COMPLETE"}
    return json.dumps({**told, "event_time": end.isoformat(), "outputs": [written]}) + "\n"


def environment(path: Path) -> dict[str, str]:
    words = [word for line in path.read_text().splitlines() for word in shlex.split(line) if word != "export"]
    return dict(word.split("=", 1) for word in words)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "local", "--port", "0", "--env", str(tmp_path / "local.env")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        yield process
        process.kill()


@pytest.mark.slow
def test_from_nothing_to_a_blocked_pipeline(local: subprocess.Popen[str], tmp_path: Path) -> None:
    path = tmp_path / "local.env"
    eventually(lambda: path.exists() and path.read_text().count("\n") == 5, "the other terminal's file", timeout=90)
    found = environment(path)
    env = {**os.environ, **found}
    history = "".join(run_event(ago, 10_000 + 20 * ago) for ago in range(30, 0, -1))

    def detector(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *arguments], env=env, input=given, capture_output=True, text=True, check=False)

    assert detector("emit", given=history + run_event(0, 400)).returncode == 0
    eventually(lambda: detector("check", TABLE).returncode == 1, "the breaker to open", timeout=60)
    assert verdict(found) == "block"
    local.send_signal(signal.SIGINT)
    out, _ = local.communicate(timeout=30)

    assert local.returncode == 130
    assert f"status page  {found['DETECTOR_URL']}/#token={found['DETECTOR_TOKEN']}" in out
    assert f"open         {TABLE}" in out
    assert not path.exists()


def verdict(found: Mapping[str, str]) -> str:
    with httpx.Client(base_url=found["DETECTOR_URL"], verify=False, timeout=10) as client:
        bearer = {"authorization": f"Bearer {found['DETECTOR_TOKEN']}"}
        answer: str = client.get(f"/v1/breakers/{TABLE}", headers=bearer).json()["verdict"]
        return answer


def test_the_file_is_for_its_owner_and_may_be_read_by_any_shell(tmp_path: Path) -> None:
    path = tmp_path / "local.env"
    path.write_text("of a process that was killed")

    with told({"A": "it's", "B": '{"a": "b c"}'}, path):
        found = environment(path)
        mode = S_IMODE(path.stat().st_mode)

    assert (found, mode, path.exists()) == ({"A": "it's", "B": '{"a": "b c"}'}, 0o600, False)


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="no/such/place"), told({}, tmp_path / "no/such/place"):
        pass
