"""docs/quickstart-dbt.md as a person follows it: its files, a real dbt, and Detector by `detector local`."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import dbt
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
ORDERS = "dataset:duckdb://shop.duckdb/shop.main.orders"


class Terminal:
    """A shell in the folder of the example, that has read `detector-local.env`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.more = folder, dict[str, str]()

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "OPENLINEAGE_NAMESPACE": "dbt",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            **self.more,
        }
        return subprocess.run(
            command, cwd=self.folder, env=env, input=text, capture_output=True, text=True, timeout=300, check=False
        )

    def detector(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "detector", *arguments, text=text)

    def load(self, what: str) -> None:
        assert self.run(sys.executable, "load.py", what).returncode == 0

    def build(self) -> int:
        """`dbt-ol build`: the exit code of dbt."""
        folder = dbt.installed()
        self.more["PATH"] = f"{folder}:{os.environ['PATH']}"
        done = self.run(str(folder / "dbt-ol"), "build", "--profiles-dir", ".")
        assert "OpenLineage events" in done.stdout + done.stderr, done.stdout + done.stderr
        return done.returncode

    def may_go_on(self) -> bool:
        done = self.detector("gate", ORDERS, "--", "echo", "the report is sent")
        assert done.returncode in (0, 1), done.stderr
        assert (done.returncode == 0) == ("the report is sent" in done.stdout)
        return done.returncode == 0


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    folder = tmp_path / "shop"
    shutil.copytree(ROOT / "docs" / "examples" / "dbt", folder)
    terminal, file = Terminal(folder), folder / "detector-local.env"
    with (tmp_path / "local.log").open("wb") as log:
        local = subprocess.Popen(
            [sys.executable, "-m", "detector", "local", "--port", "0"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    try:
        eventually(file.exists, "detector local", 120)
        for line in file.read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            terminal.more[name] = shlex.split(value)[0]
        yield terminal
    finally:
        local.send_signal(signal.SIGINT)
        local.wait(30)


def test_a_bad_load_of_dbt_blocks_the_next_step_and_a_good_one_lets_it_go_on(terminal: Terminal) -> None:
    history = terminal.run(sys.executable, "history.py", ORDERS).stdout
    assert terminal.detector("emit", "--topic", "pipeline.profiles", text=history).returncode == 0

    terminal.load("good")
    assert terminal.build() == 0
    eventually(terminal.may_go_on, "a good load")

    terminal.load("nulls")
    assert terminal.build() == 1
    eventually(lambda: not terminal.may_go_on(), "what failed a test of dbt to be blocked")
    assert "not_null(amount)" in terminal.detector("breaker", "show", ORDERS).stdout

    terminal.load("good")
    assert terminal.build() == 0
    eventually(terminal.may_go_on, "the repair")

    terminal.load("half")
    assert terminal.build() == 0
    sent = terminal.detector("profile", "orders.csv", "--dataset", ORDERS, "--emit")
    assert sent.returncode == 0, sent.stderr
    eventually(lambda: not terminal.may_go_on(), "what no test says to be blocked", 60)
    assert "profile rows:load" in terminal.detector("breaker", "show", ORDERS).stdout
