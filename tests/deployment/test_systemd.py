"""deploy/systemd: units that systemd takes, and a configuration that Detector takes."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from detector.config import load
from tests.services.requirements import require

HERE = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = ("detector@.service", "detector-alert.service")


def settings(name: str) -> list[tuple[str, str]]:
    """The keys and values of a unit."""
    lines = [line for line in (HERE / name).read_text().splitlines() if line and line[0] not in "#["]
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units, with a program that is there."""
    for name in UNITS:
        text = (HERE / name).read_text().replace("/opt/detector/bin/detector", shutil.which("true") or "/bin/true")
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_it(name: str, installed: Path) -> None:
    require("systemd-analyze")
    command = ["systemd-analyze", "verify", "--man=no", str(installed / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", UNITS)
def test_little_is_open_to_it(name: str, installed: Path) -> None:
    require("systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(installed / name)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout

    assert float(re.findall(r"exposure level for \S+: ([\d.]+)", told)[0]) < 2


@pytest.mark.parametrize("name", UNITS)
def test_stopping_has_more_time_than_detector_takes(name: str) -> None:
    assert int(dict(settings(name))["TimeoutStopSec"]) > load("").worker.stop_timeout


def test_the_slot_and_the_port_are_of_the_instance() -> None:
    given = [value.partition("=") for key, value in settings("detector@.service") if key == "Environment"]
    environment = {name: value.replace("%i", "3").replace("%C", "/var/cache") for name, _, value in given}
    config = load("", {name: value for name, value in environment.items() if name != "DETECTOR_CONFIG"})

    assert (config.worker.slot, config.http.port) == ("3", 8083)


def test_the_secrets_are_files_of_the_credentials() -> None:
    given = settings("secrets.conf")
    loaded = {value.partition(":")[0] for key, value in given if key == "LoadCredential"}
    named = [value.partition("=") for key, value in given if key == "Environment"]
    asked: list[str] = []

    def read(path: str) -> str:
        asked.append(path)
        return "a-secret"

    load("", {name: value for name, _, value in named}, read)

    assert set(asked) == {f"%d/{name}" for name in loaded}
