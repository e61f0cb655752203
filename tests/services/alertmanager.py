"""A real Alertmanager of the tests: Debian's, on loopback, without a cluster. Whom it has told, it keeps."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from detector.embedded import Child, free_port
from tests.services.requirements import require
from tests.services.waiting import eventually

PROGRAM: Final = "prometheus-alertmanager"


class Alertmanager:
    """At `url`, with a configuration (JSON is YAML). It keeps its port and its data when it is started again."""

    def __init__(self, directory: Path, config: Mapping[str, Any]) -> None:
        require(PROGRAM)
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.port = directory, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "alertmanager.log"
        (directory / "alertmanager.yml").write_text(json.dumps(config))
        self._process: Child | None = None

    def start(self) -> Self:
        """Start it and wait until it is ready. Raises `RuntimeError` with the end of its log when it ends instead."""
        options = [
            f"--config.file={self.directory / 'alertmanager.yml'}",
            f"--storage.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            "--log.level=debug",
        ]
        self._process = Child([shutil.which(PROGRAM) or PROGRAM, *options], cwd=self.directory, log=self.log)
        eventually(self._ready, f"Alertmanager at {self.url}")
        return self

    def stop(self) -> None:
        """End it in order, so that it keeps whom it has told of what."""
        if self._process:
            self._process.stop()

    def kill(self) -> None:
        """End it the way a power cut does."""
        if self._process:
            self._process.kill()

    def alerts(self, **labels: str) -> list[dict[str, Any]]:
        """What goes on, as it knows it."""
        query: Sequence[tuple[str, str]] = [("filter", f'{name}="{text}"') for name, text in labels.items()]
        found = httpx.get(f"{self.url}/api/v2/alerts", params=list(query)).raise_for_status().json()
        return list(found)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"Alertmanager ended at its start:\n{self.log.read_text(errors='replace')[-2000:]}")
        try:
            return httpx.get(f"{self.url}/-/ready").is_success
        except httpx.TransportError:
            return False


def paging(receiver: str, **route: str) -> dict[str, Any]:
    """A configuration in which each incident is one of PagerDuty's, whose Events v2 are at `receiver`."""
    return {
        "global": {"pagerduty_url": f"{receiver}/v2/enqueue", "resolve_timeout": "5m"},
        "route": {
            "receiver": "pager",
            "group_by": ["incident"],
            "group_wait": "1s",
            "group_interval": "2s",
            "repeat_interval": "12h",
            **route,
        },
        "receivers": [
            {
                "name": "pager",
                "pagerduty_configs": [
                    {
                        "routing_key": "0123456789abcdef0123456789abcdef",
                        "description": "{{ .CommonAnnotations.description }}",
                    }
                ],
            }
        ],
    }
