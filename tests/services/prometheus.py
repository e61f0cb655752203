"""A real Prometheus of the tests: Debian's, on a free port of loopback, with a directory of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from detector.embedded import Child, free_port
from tests.services.waiting import eventually

Sample = dict[str, Any]


class Prometheus:
    """A server at `url` that scrapes `targets` (host:port) each second, as `job`, and knows no alert managers."""

    def __init__(self, directory: Path, targets: Sequence[str], *, job: str = "detector", rules: Path | None = None):
        self.directory, self.log = directory, directory / "prometheus.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._settings = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [] if rules is None else [str(rules)],
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": list(targets)}]}],
        }
        self._process: Child | None = None

    def start(self) -> Self:
        """Start it and wait until it is ready. Raises `RuntimeError` with the end of its log when it ends instead."""
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(self._settings))
        options = {
            "config.file": config,
            "storage.tsdb.path": self.directory / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
            "log.level": "warn",
        }
        command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
        self._process = Child(command, cwd=self.directory, log=self.log)
        eventually(self._ready, f"Prometheus at {self.url}", timeout=60)
        return self

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """The samples that an expression gives now, or at a time. Raises `ValueError` with what is wrong with it."""
        return self._get("query", {"query": expression} if at is None else {"query": expression, "time": str(at)})

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Sample]:
        """The series that an expression gives over a time, as a panel asks for them. Raises `ValueError`."""
        span = {"start": str(start), "end": str(end), "step": str(step)}
        return self._get("query_range", {"query": expression, **span})

    def kill(self) -> None:
        """End it. Does nothing when it does not run."""
        if self._process:
            self._process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def _get(self, what: str, parameters: Mapping[str, str]) -> list[Sample]:
        answer = httpx.get(f"{self.url}/api/v1/{what}", params=parameters, timeout=30).json()
        if answer["status"] != "success":
            raise ValueError(f"{parameters['query']}: {answer['error']}")
        data = answer["data"]
        scalar = [{"metric": {}, "value": data["result"]}]
        return scalar if data["resultType"] == "scalar" else list(data["result"])

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"Prometheus ended at its start:\n{self.log.read_text(errors='replace')[-2000:]}")
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=5).is_success
        except httpx.TransportError:
            return False
