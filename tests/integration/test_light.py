"""What `pip install detector` gives, without the extras: pipelines have enough of it, and what needs more says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from detector.client import Client, Emitter  # what is below must be there
from tests.client.world import JOB, Api, opened, serving

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


class Light:
    """A virtual environment with the wheel and what it asks for, and nothing else."""

    def __init__(self, folder: Path) -> None:
        (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder))
        self.folder, self._bin = folder, folder / "venv" / "bin"
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        pip = [
            str(self._bin / "pip"),
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--no-compile",
        ]
        subprocess.run([*pip, str(wheel)], check=True)

    def run(self, name: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        own = {name: value for name, value in os.environ.items() if not name.startswith(("DETECTOR_", "PYTHON"))}
        return subprocess.run(
            [str(self._bin / name), *arguments],
            env=own | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Light:
    return Light(tmp_path_factory.mktemp("light"))


def test_pipelines_have_their_client_without_numpy(light: Light) -> None:
    names = ", ".join(kind.__name__ for kind in (Client, Emitter))
    done = light.run("python", "-c", f"from detector.client import {names}; import numpy")

    assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'numpy'"


@pytest.mark.parametrize("command", ["check", "gate", "emit", "tail", "incidents"])
def test_these_commands_teach_how_they_are_used(light: Light, command: str) -> None:
    assert light.run("detector", command, "--help").returncode == 0


def test_a_pipeline_is_stopped(light: Light) -> None:
    api = Api()
    api.values[JOB] = opened()

    with serving(api) as url:
        checked = light.run("detector", "check", JOB, DETECTOR_URL=url)
        gated = light.run("detector", "gate", JOB, "--", "echo", "loaded", DETECTOR_URL=url)

    assert (checked.returncode, checked.stdout[:5]) == (1, "block")
    assert (gated.returncode, gated.stdout) == (1, "")


@pytest.mark.parametrize("source", ["redis", "kafka"])
def test_every_source_can_be_asked(light: Light, source: str) -> None:
    away = {"DETECTOR_REDIS__URL": "redis://127.0.0.1:1", "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    asked = f"from detector.client import check; print(check('{JOB}').reason)"

    assert light.run("python", "-c", asked, DETECTOR_SOURCE=source, **away).stdout == "unreachable\n"
    assert light.run("detector", "check", JOB, "--from", source, **away).returncode == 2


@pytest.mark.parametrize("command", ["run", "demo", "doctor", "import odcs pyproject.toml", "backtest events.jsonl"])
def test_what_needs_more_says_what_to_install(light: Light, command: str) -> None:
    for name in ("pyproject.toml", "events.jsonl"):
        (light.folder / name).touch()

    done = light.run("detector", *command.split())

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "detector: this needs more than is installed: pip install 'detector[server]'\n"
