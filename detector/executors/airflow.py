"""Airflow 3 redoes runs: one that exists is cleared, one that does not is made, each once for a plan.

What was asked for is written into the note of the DAG run, where people see it, too, and where it is found again after
a restart. A run that was redone for a plan and failed again is not cleared again for that plan: somebody must look.

OpenLineage names a job `<dag_id>.<task_id>` or `<dag_id>`, and both may have dots: the longest name of a DAG that there
is counts. Its nominal time is the start of the data interval, which is the logical date of what the schedule made.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Literal, NamedTuple
from urllib.parse import quote

import httpx

from detector.errors import RedoRefused
from detector.executors.airflow_api import Api, Conflict, NotThere
from detector.executors.seam import Access, Requested, Status
from detector.plans import Ask, namespace_and_name

Found = dict[str, Any]
Do = Literal["wait", "nothing", "give up", "clear"]

ENDED: Final = {"success": "success", "failed": "failed"}
TASK_ENDED: Final = {**ENDED, "upstream_failed": "failed", "skipped": "failed", "removed": "failed"}
NOTE: Final = 1_000  # characters that a note may have
NEAR: Final = timedelta(milliseconds=1)
LAST_RUNS: Final = 20


class Place(NamedTuple):
    """What a job is in Airflow: a task, or all of a DAG."""

    dag: str
    task: str | None
    paused: bool


class Airflow:
    """An executor, over the REST API."""

    kind: ClassVar[str] = "airflow"

    def __init__(self, access: Access, transport: httpx.BaseTransport | None = None) -> None:
        """Connects when it is first used. `transport` is for tests."""
        self._api = Api(access, transport)

    def redo(self, ask: Ask) -> Requested:
        """As `Executor.redo`."""
        place = self._place(ask.job)
        run = self._run(place, ask)
        if run is None:
            return self._make(place, ask)
        status = self._status(place.task, run)
        if status == "unknown":
            raise RedoRefused(f"{run['dag_run_id']} of {place.dag} has no task {place.task}")
        return self._do(decide(ask.run.why, status, marked(ask, place, run)), place, ask, run)

    def status(self, requested: Requested) -> Status:
        """As `Executor.status`."""
        path, _, task = requested.id.partition("#")
        try:
            return self._status(task or None, self._api.get(path))
        except NotThere:
            return "unknown"

    def check(self) -> None:
        """As `Executor.check`."""
        self._api.get("dags", limit=1)

    def close(self) -> None:
        """Give back the connections."""
        self._api.close()

    # ------------------------------------------------------------ looking

    def _place(self, job: str) -> Place:
        _, name = namespace_and_name(job)
        dots = [at for at, letter in enumerate(name) if letter == "."]
        for end in [len(name), *reversed(dots)]:
            dag, task = name[:end], name[end + 1 :] or None
            try:
                found = self._api.get(f"dags/{quoted(dag)}")
            except NotThere:
                continue
            return Place(dag, task, bool(found["is_paused"]))
        raise RedoRefused(f"Airflow has no DAG for {name}")

    def _run(self, place: Place, ask: Ask) -> Found | None:
        """The DAG run that is meant; None if there is none at its time."""
        at, name = ask.run.nominal_time, ask.run.run_id
        if at is not None:
            return self._run_at(place.dag, datetime.fromtimestamp(at, UTC))
        try:
            # Who sends events of his own may call a run as Airflow does. OpenLineage's ids say nothing to Airflow.
            return dict(self._api.get(f"{path_of(place.dag)}/{quoted(name or '-')}"))
        except NotThere:
            raise RedoRefused(f"nothing says which run of {place.dag} it is: its events had no nominal time") from None

    def _run_at(self, dag: str, at: datetime) -> Found | None:
        window = {"logical_date_gte": (at - NEAR).isoformat(), "logical_date_lte": (at + NEAR).isoformat()}
        for run in self._api.pages(path_of(dag), "dag_runs", **window):
            return dict(run)
        # The logical date of what somebody has started by hand is no start of an interval.
        for run in self._api.pages(path_of(dag), "dag_runs", run_after_gte=at.isoformat(), order_by="run_after"):
            start = run["data_interval_start"]
            if start is not None and abs(time_of(start) - at) <= NEAR:
                return dict(run)
        return None

    def _status(self, task: str | None, run: Found) -> Status:
        if task is None:
            return as_status([ENDED.get(run["state"], "running")])
        found = self._api.pages(f"{path_to(run)}/taskInstances", "task_instances")
        goes_on = run["state"] not in ENDED
        return as_status([task_status(one["state"], goes_on) for one in found if one["task_id"] == task])

    # ------------------------------------------------------------ doing

    def _do(self, what: Do, place: Place, ask: Ask, run: Found) -> Requested:
        told = f"{run['dag_run_id']} of {place.dag}"
        if what == "give up":
            raise RedoRefused(f"{told} was redone for this plan already, and did not succeed: look at it")
        if what == "clear":
            self._clear(place, ask, run)
            told = f"{told}: cleared {place.task or 'the run'}{_paused(place)}"
        else:
            told += " goes on already" if what == "wait" else " has succeeded already"
        return Requested(id_of(run, place), told)

    def _clear(self, place: Place, ask: Ask, run: Found) -> None:
        """With what failed goes what failed for that reason after it: the plan knows no task without data."""
        if ask.run.why == "bad" or not self._cleared(place, run, only_failed=True):
            self._cleared(place, run, only_failed=False)
        # After it, and not before: who dies between the two asks twice, and not never.
        note = "\n".join(part for part in (run["note"], mark(ask, place)) if part)[-NOTE:]
        self._api.patch(path_to(run), {"note": note}, update_mask="note")

    def _cleared(self, place: Place, run: Found, only_failed: bool) -> bool:
        """Whether Airflow cleared what was meant; what was skipped, for one, has not failed."""
        body = {"dry_run": False, "dag_run_id": run["dag_run_id"], "only_failed": only_failed, "reset_dag_runs": True}
        if place.task is not None:
            body |= {"task_ids": [place.task], "include_downstream": only_failed}
        found = self._api.post(f"dags/{quoted(place.dag)}/clearTaskInstances", body)["task_instances"]
        return any(place.task in (None, one["task_id"]) for one in found)

    def _make(self, place: Place, ask: Ask) -> Requested:
        at = ask.run.nominal_time
        if at is None or ask.run.why in ("failed", "bad"):
            raise RedoRefused(f"Airflow has no run of {place.dag} at {_when(at)}: was it deleted?")
        date = datetime.fromtimestamp(at, UTC)
        body = {"logical_date": date.isoformat(), "note": made(ask), **self._interval(place.dag, date)}
        try:
            run = self._api.post(path_of(place.dag), body)
        except Conflict as error:
            # Somebody was quicker: at the next look it is there.
            if self._run_at(place.dag, date) is None:
                raise RedoRefused(str(error)) from None
            return self.redo(ask)
        return Requested(id_of(run, place), f"{run['dag_run_id']} of {place.dag}: made{_paused(place)}")

    def _interval(self, dag: str, at: datetime) -> dict[str, str]:
        """The data interval that the schedule would have given the run, where Airflow's own guess is another.

        Airflow takes a run at `at` that comes by its API for one by hand, and the interval *before* that moment for
        its own. That is wrong where the schedule gives a run the interval that *begins* at its logical date.
        """
        query = {"run_type": "scheduled", "order_by": "-logical_date", "limit": LAST_RUNS}
        found = self._api.get(path_of(dag), **query)["dag_runs"]
        runs = [run for run in found if run["run_type"] == "scheduled" and run["data_interval_start"]]
        lengths = {time_of(run["data_interval_end"]) - time_of(run["data_interval_start"]) for run in runs}
        if lengths <= {timedelta()} or any(run["logical_date"] != run["data_interval_start"] for run in runs):
            return {}
        if len(lengths) > 1:
            day = at.isoformat()
            how = f"airflow backfill create --dag-id {dag} --from-date {day} --to-date {day}"
            raise RedoRefused(f"the data intervals of {dag} differ in length, so its own schedule must say it: {how}")
        return {"data_interval_start": at.isoformat(), "data_interval_end": (at + lengths.pop()).isoformat()}


# ---------------------------------------------------------------- pure


def decide(why: str, status: Status, was_asked: bool) -> Do:
    """What to do with a run that exists; `was_asked`: it was redone for this plan before.

    A run that is bad, or that was held, may well have ended in success; one that failed or was missed has not, and if
    it has now, somebody has redone it.
    """
    if status == "running":
        return "wait"
    if status == "success" and (was_asked or why in ("failed", "missed")):
        return "nothing"
    return "give up" if was_asked else "clear"


def as_status(parts: Sequence[str]) -> Status:
    """Of all instances of a mapped task. Of none, nothing is known."""
    if "running" in parts:
        return "running"
    if "failed" in parts:
        return "failed"
    return "success" if parts else "unknown"


def task_status(state: str | None, run_goes_on: bool) -> str:
    """Of one instance of a task. One without a state waits for its turn, which never comes in a run that has ended."""
    if state is None and not run_goes_on:
        return "failed"
    return TASK_ENDED.get(state or "", "running")


def mark(ask: Ask, place: Place) -> str:
    """What the note of a run says that was cleared."""
    return f"Detector cleared {place.task or 'the run'} for plan {ask.plan}."


def made(ask: Ask) -> str:
    """What the note of a run says that was made."""
    return f"Detector made this run for plan {ask.plan}."


def marked(ask: Ask, place: Place, run: Found) -> bool:
    """Whether the run was redone for this plan."""
    lines = (run["note"] or "").splitlines()
    return mark(ask, place) in lines or made(ask) in lines


def path_of(dag: str) -> str:
    """Where the runs of a DAG are."""
    return f"dags/{quoted(dag)}/dagRuns"


def path_to(run: Found) -> str:
    """Where a run is."""
    return f"{path_of(run['dag_id'])}/{quoted(run['dag_run_id'])}"


def id_of(run: Found, place: Place) -> str:
    """What `status` finds it by."""
    return path_to(run) if place.task is None else f"{path_to(run)}#{place.task}"


def quoted(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


def time_of(text: str) -> datetime:
    """A time as Airflow writes it."""
    return datetime.fromisoformat(text)


def _when(at: float | None) -> str:
    return "an unknown time" if at is None else datetime.fromtimestamp(at, UTC).isoformat()


def _paused(place: Place) -> str:
    return "; the DAG is paused, so it waits until somebody unpauses it" if place.paused else ""
