"""What is downloaded once and kept between runs, below `$DETECTOR_CACHE` or `~/.cache/detector`."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_ATTEMPTS = 3


def cached(name: str, recipe: str, fill: Callable[[Path], None]) -> Path:
    """The directory `name`, made by `fill` unless it is there already and was made from this very `recipe`.

    It comes into being with one rename, so it is whole or absent, whoever is killed; of several who want it, one
    makes it and the others wait.
    """
    root = Path(os.environ.get("DETECTOR_CACHE") or Path.home() / ".cache" / "detector")
    root.mkdir(parents=True, exist_ok=True)
    final = root / name
    with _locked(root / f"{name}.lock"):
        if not _made_from(recipe, final):
            fresh = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=root))
            try:
                fill(fresh)
                (fresh / "recipe").write_text(recipe)
                shutil.rmtree(final, ignore_errors=True)
                fresh.rename(final)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
    return final


def maven(goal: str, *options: str) -> None:
    """Run one goal of Maven, again when the download broke. Raises `RuntimeError` with Maven's words."""
    command = ["mvn", "--quiet", "--batch-mode", goal, *options]
    for _ in range(_ATTEMPTS):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode == 0:
            return
    raise RuntimeError(f"{' '.join(command)} failed {_ATTEMPTS} times:\n{run.stdout[-2000:]}{run.stderr[-2000:]}")


def _made_from(recipe: str, directory: Path) -> bool:
    note = directory / "recipe"
    return note.exists() and note.read_text() == recipe


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
