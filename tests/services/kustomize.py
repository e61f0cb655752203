"""Kustomize of the tests: the one on the PATH, kubectl's, or one that Go builds once."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.services.cache import cached
from tests.services.requirements import unavailable

RELEASE: Final = "sigs.k8s.io/kustomize/kustomize/v5@v5.6.0"
_GO: Final = "/usr/local/go/bin/go"


def build(directory: Path) -> list[dict[str, Any]]:
    """The objects that a folder stands for. Skips the test where there is no kustomize and no Go to build it."""
    done = subprocess.run([*_command(), str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def _command() -> list[str]:
    if found := shutil.which("kustomize"):
        return [found, "build"]
    if found := shutil.which("kubectl"):
        return [found, "kustomize"]
    if not (shutil.which("go") or Path(_GO).exists()):
        unavailable("this needs kustomize or kubectl on the PATH, or Go, which builds it once")
    return [str(cached("kustomize", RELEASE, _install) / "kustomize"), "build"]


def _install(directory: Path) -> None:
    go = shutil.which("go") or _GO
    done = subprocess.run(
        [go, "install", RELEASE],
        env={**os.environ, "GOBIN": str(directory), "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{RELEASE} cannot be built:\n{done.stderr[-2000:]}")
