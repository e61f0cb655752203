"""A real Airflow 3 of the tests: API server, scheduler and DAG processor on SQLite, in an environment of its own."""

import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from detector.embedded import Child, free_port
from tests.services.environments import python_with
from tests.services.waiting import eventually

RELEASE: Final = "apache-airflow==3.3.2"
USER, WORD = "admin", "hunter2"
PROCESSES: Final[dict[str, list[str]]] = {"api-server": [], "scheduler": ["--skip-serve-logs"], "dag-processor": []}


class AirflowServer:
    """Airflow at `url`, with the DAGs in `dags`, for the user `USER` with the password `WORD`.

    Raises `RuntimeError` with the end of a log when it does not start.
    """

    def __init__(self, directory: Path, dags: Path, environment: Mapping[str, str]) -> None:
        self.directory, self._environment = directory, environment
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._settings = {
            "AIRFLOW_HOME": str(directory),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "the secret of a test, which is long enough for its algorithm" * 2,
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(directory / "passwords.json"),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        self._children: list[Child] = []
        self._http = httpx.Client(base_url=self.url, timeout=30)

    def start(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "passwords.json").write_text(json.dumps({USER: WORD}))
        if self._child("db", "migrate").wait(timeout=120) != 0:
            raise RuntimeError(f"Airflow makes no database:\n{self._tail('db')}")
        for name, options in PROCESSES.items():
            self._children.append(self._child(name, *options))
        eventually(self._logged_in, f"Airflow at {self.url}", timeout=120)
        return self

    def kill(self) -> None:
        """End it. Does nothing when it does not run."""
        for child in self._children:
            child.stop()
            with suppress(ProcessLookupError):  # what it has started and did not end is of its session
                os.killpg(child.pid, signal.SIGKILL)
        self._children.clear()
        self._http.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    # ------------------------------------------------------------ as a person would look at it

    def get(self, path: str, **params: Any) -> Any:
        """The object at a path below /api/v2, or None if there is none."""
        answer = self._http.get(f"/api/v2/{path}", params=params)
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.raise_for_status().json()

    def delete(self, path: str) -> None:
        self._http.delete(f"/api/v2/{path}").raise_for_status()

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG by their logical dates; none while Airflow does not know it."""
        found = self.get(f"dags/{dag}/dagRuns", order_by="logical_date")
        return [] if found is None else found["dag_runs"]

    # ------------------------------------------------------------ processes

    def _child(self, *arguments: str) -> Child:
        python = installed()
        settings = {**self._environment, **self._settings, "PATH": f"{python.parent}:{os.environ['PATH']}"}
        env = [f"{name}={value}" for name, value in settings.items()]
        command = ["env", *env, str(python), "-m", "airflow", *arguments]
        return Child(command, cwd=self.directory, log=self.directory / f"airflow-{arguments[0]}.log")

    def _logged_in(self) -> bool:
        for name, child in zip(PROCESSES, self._children, strict=True):
            if child.poll() is not None:
                raise RuntimeError(f"Airflow's {name} ended at its start:\n{self._tail(name)}")
        with suppress(httpx.TransportError):
            answer = self._http.post("/auth/token", json={"username": USER, "password": WORD})
            if answer.is_success:
                self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
                return True
        return False

    def _tail(self, name: str) -> str:
        log = self.directory / f"airflow-{name}.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"


def installed() -> Path:
    """The Python that has Airflow, which asks for releases of its own of what Detector uses, too."""
    return python_with("airflow", RELEASE)
