"""A small Airflow in this process: as much of the REST API as the executor uses, with the answers of the real one."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

import httpx

from detector.executors import Access, Airflow

PAGE = 3
Answer = tuple[int, Any]


@dataclass
class FakeAirflow:
    """DAGs by name, each with its runs; a run has its tasks, by name the states of their instances.

    `broken` is what it answers to the next requests, in the place of doing anything. `before_post` is what happens
    before it makes a run; its answer, if it gives one, is the answer.
    """

    dags: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    tasks: dict[str, dict[str, list[str | None]]] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    broken: list[Answer | Exception] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    logins: int = 0
    token: str = ""
    before_post: Callable[[], Answer | None] = lambda: None

    def run(self, dag: str, at: str, state: str = "failed", days: float = 0.0, **more: Any) -> dict[str, Any]:
        """Let a DAG have a run, of an interval of so many days."""
        date = datetime.fromisoformat(at)
        made = {
            "dag_id": dag,
            "dag_run_id": f"scheduled__{at}",
            "logical_date": iso(date),
            "data_interval_start": iso(date),
            "data_interval_end": iso(date + timedelta(days=days)),
            "run_after": iso(date + timedelta(days=days)),
            "run_type": "scheduled",
            "state": state,
            "note": None,
            **more,
        }
        self.dags.setdefault(dag, []).append(made)
        return made

    def executor(self, **access: Any) -> Airflow:
        """Who asks it."""
        given = {"url": "http://airflow", "username": "me", "password": "hunter2", **access}
        return Airflow(Access(**given), httpx.MockTransport(self.answer))

    def said(self, method: str) -> list[tuple[str, Any]]:
        """What it was asked to change, with this method."""
        return [(path, body) for asked, path, body in self.asked if asked == method]

    # ------------------------------------------------------------ answers

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        if request.url.path == "/auth/token":
            self.logins += 1
            self.token = f"token {self.logins}"
            right = body == {"username": "me", "password": "hunter2"}
            return httpx.Response(201, json={"access_token": self.token}) if right else httpx.Response(401, json={})
        path = request.url.raw_path.decode().partition("?")[0].removeprefix("/api/v2/")
        self.asked.append((request.method, path, body))
        if self.broken:
            broken = self.broken.pop(0)
            if isinstance(broken, Exception):
                raise broken
            return httpx.Response(broken[0], **({"json": broken[1]} if isinstance(broken[1], dict) else broken[1]()))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return httpx.Response(401, json={"detail": "Token Expired"})
        status, said = self._routed(request, [unquote(part) for part in path.split("/")], body)
        return httpx.Response(status, json=said)

    def _routed(self, request: httpx.Request, path: list[str], body: Any) -> Answer:
        answer: Answer = (404, {"detail": "Not Found"})
        match request.method, path:
            case "GET", ["dags"]:
                answer = 200, {"dags": [], "total_entries": 0}
            case _, ["dags", dag, *_] if dag not in self.dags:
                answer = 404, {"detail": f"The Dag with ID: `{dag}` was not found"}
            case "GET", ["dags", dag]:
                answer = 200, {"dag_id": dag, "is_paused": dag in self.paused}
            case "GET", ["dags", dag, "dagRuns"]:
                answer = 200, self._page(request, "dag_runs", self._wanted(dag, request.url.params))
            case "POST", ["dags", dag, "dagRuns"]:
                answer = self._made(dag, body)
            case "POST", ["dags", dag, "clearTaskInstances"]:
                answer = 200, {"task_instances": self._cleared(dag, body)}
            case _, ["dags", dag, "dagRuns", name, *rest]:
                answer = self._one(request, dag, name, bool(rest), body)
        return answer

    def _one(self, request: httpx.Request, dag: str, name: str, tasks: bool, body: Any) -> Answer:
        run = next((run for run in self.dags[dag] if run["dag_run_id"] == name), None)
        if run is None:
            return 404, {"detail": "The DagRun was not found"}
        if request.method == "PATCH":
            run |= body
        return 200, self._page(request, "task_instances", list(self._instances(name))) if tasks else run

    def _wanted(self, dag: str, params: httpx.QueryParams) -> list[dict[str, Any]]:
        low, high = params.get("logical_date_gte"), params.get("logical_date_lte")
        runs = [run for run in self.dags[dag] if "run_type" not in params or run["run_type"] == params["run_type"]]
        if low:
            span = datetime.fromisoformat(low), datetime.fromisoformat(high)
            runs = [run for run in runs if run["logical_date"] and span[0] <= time_of(run, "logical_date") <= span[1]]
        if "run_after_gte" in params:
            since = datetime.fromisoformat(params["run_after_gte"])
            runs = [run for run in runs if time_of(run, "run_after") >= since]
        order = params.get("order_by", "run_after")
        return sorted(runs, key=lambda run: run[order.lstrip("-")] or "", reverse=order.startswith("-"))

    def _page(self, request: httpx.Request, name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
        """No longer than this server wants, whatever was asked for."""
        offset, limit = int(request.url.params.get("offset", 0)), int(request.url.params.get("limit", PAGE))
        longest = limit if "run_type" in request.url.params else PAGE
        return {name: found[offset : offset + min(limit, longest)], "total_entries": len(found)}

    def _instances(self, run: str) -> Iterator[dict[str, Any]]:
        for task, states in self.tasks.get(run, {}).items():
            yield from ({"task_id": task, "map_index": at, "state": state} for at, state in enumerate(states))

    def _made(self, dag: str, body: dict[str, Any]) -> Answer:
        first = self.before_post()
        if first is not None:
            return first
        at = datetime.fromisoformat(body["logical_date"])
        if any(run["logical_date"] == iso(at) for run in self.dags[dag]):
            return 409, {"detail": {"reason": "Unique constraint violation"}}
        run = self.run(dag, body["logical_date"], "queued", run_type="manual", note=body["note"])
        run |= {key: body[key] for key in ("data_interval_start", "data_interval_end") if key in body}
        return 200, run

    def _cleared(self, dag: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Every other task comes after the one that is named."""
        run = next(run for run in self.dags[dag] if run["dag_run_id"] == body["dag_run_id"])
        tasks = self.tasks.get(run["dag_run_id"], {"a": ["failed" if run["state"] == "failed" else "success"]})
        cleared = []
        for task, states in tasks.items():
            if "task_ids" not in body or body["include_downstream"] or task in body["task_ids"]:
                for at, state in enumerate(states):
                    if not body["only_failed"] or state in ("failed", "upstream_failed"):
                        states[at] = None
                        cleared.append({"task_id": task, "map_index": at})
        run["state"] = "queued" if cleared else run["state"]
        return cleared


def iso(at: datetime) -> str:
    """As Airflow writes a time."""
    return at.isoformat().replace("+00:00", "Z")


def time_of(run: dict[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(run[name])
