"""Virtual environments of the tests for what does not fit beside Detector: made once, and kept."""

import subprocess
import sys
from pathlib import Path

from tests.services.cache import cached


def python_with(name: str, release: str) -> Path:
    """The Python that has this release, after the first time at once. Raises `RuntimeError` with pip's words."""

    def install(directory: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", str(directory / "venv")], check=True)
        python = str(directory / "venv" / "bin" / "python")
        command = [python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        done = subprocess.run([*command, *release.split()], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{release} cannot be installed:\n{done.stderr[-2000:]}")

    return cached(name, f"{release} {sys.version_info[:2]}", install) / "venv" / "bin" / "python"
