"""A real Redis of the tests: Debian's server where there is one, else the Valkey that Detector embeds."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from detector.embedded import Child, free_port, valkey_binary
from tests.services.waiting import eventually


class RedisServer:
    """A Redis at `url`, with what it keeps in `directory`. It keeps its port when it is started again.

    `settings` are more of its own, with underscores for dashes.
    `restart(snapshot)` rolls it back to what an earlier `snapshot()` held, as a failover to a late replica does.
    """

    def __init__(
        self,
        directory: Path,
        *,
        maxmemory_policy: str = "noeviction",
        maxmemory: str = "0",
        appendonly: bool = False,
        **settings: object,
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.log = directory / "redis.log"
        self._settings: Mapping[str, object] = {
            "bind": "127.0.0.1",
            "port": self.port,
            "dir": directory,
            "save": "",
            "maxmemory-policy": maxmemory_policy,
            "maxmemory": maxmemory,
            "appendonly": "yes" if appendonly else "no",
            **{name.replace("_", "-"): value for name, value in settings.items()},
        }
        self._process: Child | None = None

    def start(self) -> Self:
        """Start it and wait until it answers. Raises `RuntimeError` with the end of its log when it ends instead."""
        self.directory.mkdir(parents=True, exist_ok=True)
        options = [part for name, value in self._settings.items() for part in (f"--{name}", str(value))]
        self._process = Child([binary(), *options], cwd=self.directory, log=self.log)
        eventually(self._answers, f"Redis at {self.url}")
        return self

    def setting(self, name: str) -> str:
        """What it was started with."""
        return str(self._settings[name])

    def stop(self) -> None:
        """End it in order. Does nothing when it does not run."""
        if self._process:
            self._process.stop()

    def kill(self) -> None:
        """End it the way a power cut does."""
        if self._process:
            self._process.kill()

    def snapshot(self) -> Path:
        """A copy of all that it holds now, for `restart`."""
        with redis.Redis.from_url(self.url) as client:
            client.save()
        copies = len(list(self.directory.glob("snapshot-*.rdb")))
        return Path(shutil.copy(self.directory / "dump.rdb", self.directory / f"snapshot-{copies}.rdb"))

    def restart(self, snapshot: Path | None = None) -> None:
        """Kill it and start it again, with the data of `snapshot` when given. Raises `ValueError` with `appendonly`."""
        if snapshot and self._settings["appendonly"] == "yes":
            raise ValueError("with an append-only file, Redis does not read snapshots at its start")
        self.kill()
        if snapshot:
            shutil.copy(snapshot, self.directory / "dump.rdb")
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"Redis ended at its start:\n{self.log.read_text(errors='replace')[-2000:]}")
        try:
            with redis.Redis.from_url(self.url) as client:
                return bool(client.ping())
        except redis.ConnectionError:  # not there yet, or still loading its data
            return False


def binary() -> str:
    """The server: Debian's, or Valkey, which takes the same options."""
    return shutil.which("redis-server") or str(valkey_binary())
