"""What is told of runs and profiles, in Detector's own JSON (docs/inputs.md), and without values of the data."""

import struct
import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from detector.client.asking import BreakerOpen
from detector.core.text import value_hash
from detector.redaction import first_line

Number = float | int | None
Time = float | str
Known = dict[str, Any]
Send = Callable[[str, Callable[[], Mapping[str, Any]]], None]
Datasets = Iterable[str] | Mapping[str, Mapping[str, Any]]
COUNTS = ("rows", "bytes", "files")
NAN = float("nan")


class Run:
    """One run of a job: START when it is entered, and when it is left COMPLETE, or FAIL with the error, or ABORT.

    ABORT is what is stopped from outside (Ctrl-C, a cancelled task), or by a breaker. An error is told by its class and
    its first line, without what looks like data. `inputs` and `outputs` are datasets, or what is known of each, as in
    `{"dataset:warehouse/orders": {"rows": 5}}`.
    """

    def __init__(
        self,
        send: Send,
        job: str,
        *,
        inputs: Datasets = (),
        outputs: Datasets = (),
        run_id: str | None = None,
        **about: Any,
    ) -> None:
        """`about` are further fields of a run event: `nominal_time`, `code_version`, `parent`, `owners`, `tags`.

        Raises `ValueError` for a job or a dataset that is none.
        """
        self.run_id = run_id or str(uuid4())
        self._send, self._job, self._about = send, names(job, "job"), about
        self._inputs, self._outputs = _known(inputs), _known(outputs)
        self._metrics: dict[str, Any] = {}

    def metric(self, name: str, value: Number) -> None:
        """Tell a number of the run itself, with its end."""
        self._metrics[name] = value

    def read(self, dataset: str, **known: Any) -> None:
        """Tell that it reads a dataset, and what is known of that: `rows`, `bytes`, `files`, `version`."""
        self._inputs.setdefault(names(dataset, "dataset"), {}).update(known)

    def wrote(self, dataset: str, **known: Any) -> None:
        """Tell that it writes a dataset, and what is known of that: `rows`, `bytes`, `files`, `version`."""
        self._outputs.setdefault(names(dataset, "dataset"), {}).update(known)

    def start(self) -> Self:
        """Tell that it starts."""
        self._tell("START", dict)
        return self

    def complete(self) -> None:
        """Tell that it ended well."""
        self._tell("COMPLETE", lambda: {"metrics": _numbers(self._metrics)})

    def fail(self, error: str) -> None:
        """Tell that it failed, and how."""
        self._tell("FAIL", lambda: {"metrics": _numbers(self._metrics), "error": first_line(error)})

    def abort(self, why: str) -> None:
        """Tell that it was stopped from outside."""
        self._tell("ABORT", lambda: {"error": first_line(why)})

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        match error:
            case None | SystemExit(code=None | 0):
                self.complete()
            case BreakerOpen():
                self.abort("BreakerOpen")
            case Exception() | SystemExit():
                self.fail(_text(error))
            case _:  # Ctrl-C, a cancelled task
                self.abort(type(error).__name__)

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, at)

    def _tell(self, state: str, more: Callable[[], Mapping[str, Any]]) -> None:
        namespace, name = self._job
        when = now()

        def make() -> dict[str, Any]:
            return {
                "kind": "run_event",
                "namespace": namespace,
                "name": name,
                "run_id": self.run_id,
                "state": state,
                "event_time": when,
                "inputs": [_dataset(*one) for one in self._inputs.items()],
                "outputs": [_dataset(*one) for one in self._outputs.items()],
                **self._about,
                **more(),
            }

        self._send(f"run:{namespace}/{name}", make)


def names(entity: str, kind: str) -> tuple[str, str]:
    """The namespace and the name of a job or of a dataset. Raises `ValueError`."""
    namespace, slash, name = str(entity).removeprefix(f"{kind}:").rpartition("/")
    if not str(entity).startswith(f"{kind}:") or not slash or not namespace or not name:
        raise ValueError(f"{entity!r} is no {kind}: write {kind}:<namespace>/<name>, as in {kind}:airflow/orders.load")
    return namespace, name


def now() -> float:
    """Seconds since 1970."""
    return round(time.time(), 3)


def table(statistics: Mapping[str, Mapping[str, Number]]) -> Known:
    """Statistics in their smallest form: all of the first column first, as float64, NaN for what was not measured."""
    if not statistics:
        return {}
    measures = list(dict.fromkeys(name for of in statistics.values() for name in of))
    values = [
        NAN if (found := of.get(name)) is None else float(found) for of in statistics.values() for name in measures
    ]
    packed = struct.pack(f"<{len(values)}d", *values)
    return {"statistics": {"columns": list(statistics), "statistics": measures, "values": packed}}


def hashed(top_values: Mapping[str, Mapping[str, Number]]) -> dict[str, dict[str, float]]:
    """How often each of the most frequent values of a column is there, by its hash."""
    return {
        column: {value_hash(str(value)): float(count or 0) for value, count in of.items()}
        for column, of in top_values.items()
    }


def _known(datasets: Datasets) -> dict[tuple[str, str], Known]:
    if isinstance(datasets, Mapping):
        return {names(key, "dataset"): dict(known) for key, known in datasets.items()}
    return {names(key, "dataset"): {} for key in datasets}


def _dataset(key: tuple[str, str], known: Known) -> Known:
    counts = {name: float(known[name]) for name in COUNTS if known.get(name) is not None}
    others = {name: value for name, value in known.items() if name not in COUNTS}
    return {"namespace": key[0], "name": key[1], **counts, **others}


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if value is not None}


def _text(error: BaseException) -> str:
    """Its class and what it says, which is looked at before it leaves."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - an error that cannot even be said
        return type(error).__name__
