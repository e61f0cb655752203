"""What is wrong with the set-up: everything that Detector needs is looked at, and each thing said in a line.

Nothing is changed. A finding is `ok`, `warn` (it works, but) or `fail` (it does not), and says what to do.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from detector.config import Config
from detector.doctor import kafka, redis
from detector.doctor.finding import Finding
from detector.errors import ConfigError
from detector.settings import registry_of

__all__ = ["Finding", "examine"]


def examine(config: Config, file: Path | None = None) -> Iterator[Finding]:
    """Look at everything. `file` is where the configuration is from."""
    yield Finding("config", "ok", str(file) if file else "no file: defaults and the environment")
    yield from kafka.examine(config)
    yield from redis.examine(config)
    yield _registry(config)


def _registry(config: Config) -> Finding:
    if config.registry.url is None:
        return Finding("registry", "ok", "none is configured: Avro with a schema id cannot be read")
    try:
        registry = registry_of(config)
        subjects = cast("Any", registry).client.get_subjects()
    except ConfigError as error:
        return Finding("registry", "fail", str(error))
    except Exception as error:  # noqa: BLE001 - httpx, JSON, OAuth and the client's own
        # Without its text, which may hold the password.
        told = f"{type(error).__name__} {getattr(error, 'http_status_code', '')}".strip()
        return Finding(
            "registry",
            "fail",
            f"{config.registry.url} does not answer: {told}",
            "Is registry.url right, and its password?",
        )
    return Finding("registry", "ok", f"{config.registry.url}, {len(subjects)} subjects")
