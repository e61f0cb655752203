"""A real dbt with DuckDB and OpenLineage's integration, in an environment of its own."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.services.cache import cached

# dbt-core 1.12 downloads from elsewhere when it is installed.
PACKAGES: Final = ("dbt-core<1.12", "dbt-duckdb", "openlineage-dbt", "confluent-kafka==2.16.1")


def installed() -> Path:
    """The folder with `dbt-ol`, after the first time at once. Raises `RuntimeError` with pip's words."""
    return cached("dbt", f"{PACKAGES} {sys.version_info[:2]} moved", _install) / "venv" / "bin"


def _install(directory: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(directory / "venv")], check=True)
    command = [str(directory / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", *PACKAGES]
    done = subprocess.run([*command, "--disable-pip-version-check"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"dbt cannot be installed:\n{done.stderr[-2000:]}")
    # What is made here is moved, and the first line of each program names the Python where it was made.
    for name in ("dbt", "dbt-ol"):
        program = directory / "venv" / "bin" / name
        program.write_text(program.read_text().replace(str(directory), str(directory.parent / "dbt")))
