"""A real Schema Registry with Confluent's API: Apicurio, which needs nothing but Java and keeps all in memory."""

import tarfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from detector.embedded import Child, free_port
from tests.services.cache import cached, maven
from tests.services.waiting import eventually

VERSION: Final = "2.6.13.Final"  # 3.x needs Java 21
ARTIFACT: Final = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"


class SchemaRegistry:
    """The registry at `url`. Raises `RuntimeError` with the end of its log when it does not start."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"
        self.log = directory / "registry.log"
        self._process: Child | None = None

    def start(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        home = cached("registry", ARTIFACT, _download)
        command = [
            "java",
            "-Xmx384m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dquarkus.http.host=127.0.0.1",
            f"-Dquarkus.http.port={self._port}",
            "-jar",
            str(home / f"apicurio-registry-app-{VERSION}-runner.jar"),
        ]
        self._process = Child(command, cwd=self.directory, log=self.log)
        eventually(self._answers, f"the registry at {self.url}", timeout=120)
        return self

    def kill(self) -> None:
        """End it; it forgets all. Does nothing when it does not run."""
        if self._process:
            self._process.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the registry ended at its start:\n{self.log.read_text(errors='replace')[-2000:]}")
        try:
            return httpx.get(f"{self.url}/subjects", timeout=5).is_success
        except httpx.TransportError:
            return False


def _download(directory: Path) -> None:
    maven("dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={directory}")
    archive = directory / f"apicurio-registry-app-{VERSION}-all.tar.gz"
    with tarfile.open(archive) as packed:
        packed.extractall(directory, filter="data")
    archive.unlink()
