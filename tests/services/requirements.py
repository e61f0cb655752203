"""What a test needs of the machine: absent means skipped, with the way to have it; in CI it means failed."""

import os
import shutil
from typing import Final

import pytest

IN_CI: Final = os.environ.get("CI") == "true"

_HOW_TO_GET: Final = {
    "java": "Java 17 or newer: apt install openjdk-17-jre-headless",
    "chromium": "Chromium: apt install chromium",
    "prometheus-alertmanager": "Alertmanager: apt install prometheus-alertmanager",
    "amtool": "amtool, which comes with Alertmanager: apt install prometheus-alertmanager",
    "prometheus": "Prometheus: apt install prometheus",
    "promtool": "promtool, of the package prometheus: apt install prometheus",
    "systemd-analyze": "systemd's own checks: apt install systemd",
    "mvn": "Maven, which downloads Kafka once: apt install maven",
}


def require(*programs: str) -> None:
    """Skip the test, or fail it in CI, unless all `programs` are on the PATH."""
    missing = [_HOW_TO_GET.get(program, program) for program in programs if not shutil.which(program)]
    if missing:
        unavailable("this needs " + "; and ".join(missing))


def unavailable(reason: str) -> None:
    """Skip the test, or fail it in CI."""
    if IN_CI:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
