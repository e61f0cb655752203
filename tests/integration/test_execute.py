"""`detector execute` with a real Airflow 3 and a real Kafka: the runs of a plan happen, in order, and once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from confluent_kafka import Producer

from detector.core.messages import Redo
from detector.core.recovery import PlanStep, RecoveryPlan
from detector.errors import RedoRefused, Unreachable
from detector.executors import Access, Airflow
from detector.executors.airflow_api import Api, Conflict, NotThere
from detector.plans import TYPE, Ask
from tests.services.airflow import USER, WORD, AirflowServer, installed
from tests.services.kafka import Kafka
from tests.services.requirements import unavailable
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]  # the first time, Airflow is installed

DAGS = Path(__file__).parent.parent / "services" / "dags"
LOAD, BUILD = "job:airflow/shop.orders.load", "job:airflow/report.build"
DAY = timedelta(days=1)


class Shop:
    """An Airflow with the DAGs of a shop, in which the first nights went wrong."""

    def __init__(self, directory: Path, server: AirflowServer) -> None:
        self.directory, self.airflow = directory, server
        eventually(lambda: self.nights("shop.orders") == self.nights("report") == 2, "the first runs", 120)
        first, second = server.runs("shop.orders")
        self.first, self.second = (datetime.fromisoformat(run["logical_date"]) for run in (first, second))
        assert (first["state"], first["data_interval_start"]) == ("failed", first["logical_date"])
        assert [run["state"] for run in server.runs("report")] == ["success", "success"]
        server.delete(f"dags/shop.orders/dagRuns/{second['dag_run_id']}")  # a night that Airflow was down
        self.mend()

    def nights(self, dag: str) -> int:
        """How many runs have ended."""
        return sum(run["state"] in ("success", "failed") for run in self.airflow.runs(dag))

    def mend(self) -> None:
        (self.directory / "mended").touch()

    def ran(self) -> list[str]:
        """What the tasks have told, in the order in which they ran."""
        return (self.directory / "ran").read_text().splitlines()

    def access(self, **other: Any) -> Access:
        return Access(**{"url": self.airflow.url, "username": USER, "password": WORD, **other})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("shop")
    try:
        installed()
    except RuntimeError as error:
        unavailable(f"this needs Airflow: {error}")
    with AirflowServer(directory / "airflow", DAGS, {"SHOP": str(directory)}) as server:
        yield Shop(directory, server)


@pytest.fixture
def airflow(shop: Shop) -> Iterator[Airflow]:
    with closing(Airflow(shop.access())) as made:
        yield made


class Site:
    """A control topic, a configuration, and processes of `detector execute`."""

    def __init__(self, kafka: Kafka, prefix: str, directory: Path, shop: Shop) -> None:
        self.control, self.directory = f"{prefix}control", directory
        kafka.create_topic(self.control)
        config = {
            "kafka": {"bootstrap_servers": kafka.bootstrap},
            "topics": {"control": self.control, "log": f"{prefix}log"},
            "executor": {
                "kind": "airflow",
                "url": shop.airflow.url,
                "username": USER,
                "password_file": "word",
                "namespaces": ["air*"],
            },
            "log": {"format": "json"},
        }
        (directory / "word").write_text(WORD)
        (directory / "detector.yaml").write_text(yaml.safe_dump(config))
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap})
        self.processes: list[subprocess.Popen[bytes]] = []

    def say(self, plan: RecoveryPlan) -> None:
        """As the detector says it."""
        value = msgspec.json.encode(plan)
        attributes = {"specversion": "1.0", "id": f"{plan.plan}-{plan.version}", "source": "/detector", "type": TYPE}
        headers = [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
        self._producer.produce(
            self.control, value, plan.root, headers=[*headers, ("content-type", b"application/json")]
        )
        assert self._producer.flush(30) == 0

    def execute(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "detector", "execute", *arguments, "-c", str(self.directory / "detector.yaml")]
        with (self.directory / "log").open("ab") as out:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, env=dict(os.environ))
        self.processes.append(process)
        return process

    def log(self, event: str) -> list[dict[str, Any]]:
        lines = (self.directory / "log").read_text().splitlines()
        return [line for line in map(json.loads, lines) if line["event"] == event]


@pytest.fixture
def site(kafka: Kafka, topic_prefix: str, tmp_path: Path, shop: Shop) -> Iterator[Site]:
    site = Site(kafka, topic_prefix, tmp_path, shop)
    yield site
    for process in site.processes:
        process.kill()
        process.communicate()


def plan(shop: Shop, version: int = 1, loaded: str | None = None, built: str | None = None) -> RecoveryPlan:
    """A night failed, the next one never came, and a report was built on what there was."""
    loads = [
        Redo(why="failed", run_id="0198", nominal_time=shop.first.timestamp(), done_by=loaded),
        Redo(why="missed", nominal_time=shop.second.timestamp(), done_by=loaded),
    ]
    builds = [Redo(why="bad", run_id="0199", nominal_time=shop.first.timestamp(), done_by=built)]
    return RecoveryPlan(
        plan="p1",
        version=version,
        root=LOAD,
        incident=None,
        state="done" if built else "open",
        opened=time.time(),
        steps=[PlanStep(job=LOAD, runs=loads), PlanStep(job=BUILD, after=[LOAD], runs=builds)],
        summary="three runs to redo",
    )


def test_the_runs_of_a_plan_happen_in_order_and_once_through_a_kill(site: Site, shop: Shop) -> None:
    first, second, third = (f"{at:%F}" for at in (shop.first, shop.second, shop.second + DAY))
    before = shop.ran()
    site.say(plan(shop))
    told, _ = (dry := site.execute()).communicate(timeout=60)
    process = site.execute("--apply")
    eventually(lambda: len(site.log("redo_requested")) == 2, "two runs to be asked for", 60)
    process.kill()  # whether or not it has committed that, nothing may happen twice
    process = site.execute("--apply")
    eventually(lambda: len(shop.ran()) == 6, "the loads to be done", 120)
    loaded = shop.ran()
    site.say(plan(shop, 2, loaded="0200"))
    eventually(lambda: len(shop.ran()) == 7, "the report to be done", 120)
    site.say(plan(shop, 3, loaded="0200", built="0201"))
    eventually(lambda: site.log("plan_taken")[-1]["state"] == "done", "the plan to be done", 60)
    process.terminate()

    assert (dry.returncode, [line.split()[0] for line in told.decode().splitlines()]) == (
        0,
        ["plan", "ask", "ask", "wait"],
    )
    assert sorted(before) == [f"build {first} {second}", f"build {second} {third}"]
    assert sorted(loaded[2:]) == [
        f"{task} {day}" for task in ("load", "mail") for day in (f"{first} {second}", f"{second} {third}")
    ]
    assert shop.ran()[6:] == [f"build {first} {second}"]
    assert {line["status"] for line in site.log("redo_ended")} <= {"success"}
    assert site.log("redo_refused") == []
    assert process.wait(30) == 0
    assert WORD not in (site.directory / "log").read_text()


def test_a_run_that_fails_again_is_not_redone_again_for_the_same_plan(shop: Shop, airflow: Airflow) -> None:
    api = Api(shop.access())
    date = (shop.first + timedelta(hours=1)).isoformat()
    made = api.post("dags/broken/dagRuns", {"logical_date": date})
    run = f"dags/broken/dagRuns/{made['dag_run_id']}"
    eventually(lambda: api.get(run)["state"] == "failed", "the run to fail", 60)
    ask = Ask("p2", "job:airflow/broken", Redo(why="failed", nominal_time=datetime.fromisoformat(date).timestamp()))

    requested = airflow.redo(ask)
    again = airflow.redo(ask)
    eventually(lambda: airflow.status(requested) == "failed", "it to fail again", 60)

    assert (again.id, "goes on already" in again.message) == (requested.id, True)
    with pytest.raises(RedoRefused, match="was redone for this plan already"):
        airflow.redo(ask)
    assert airflow.redo(ask._replace(plan="p3")).message.endswith("cleared the run")
    assert api.get(run)["note"] == "Detector cleared the run for plan p2.\nDetector cleared the run for plan p3."
    with pytest.raises(Conflict):
        api.post("dags/broken/dagRuns", {"logical_date": date})
    with pytest.raises(NotThere):
        api.get("dags/none")
    api.close()


@pytest.mark.parametrize(
    ("job", "run", "said"),
    [
        pytest.param(
            "job:airflow/none.task", Redo(why="missed", nominal_time=0.0), "has no DAG for none.task", id="DAG"
        ),
        pytest.param("job:airflow/broken", Redo(why="bad", nominal_time=0.0), "has no run of broken at 1970", id="run"),
        pytest.param("job:airflow/broken", Redo(why="bad", run_id="0198"), "had no nominal time", id="no time"),
    ],
)
def test_what_airflow_does_not_have_is_refused(job: str, run: Redo, said: str, airflow: Airflow) -> None:
    with pytest.raises(RedoRefused, match=said):
        airflow.redo(Ask("p4", job, run))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"password": "wrong"}, id="a wrong password"),
        pytest.param({"username": "", "password": "", "token": "wrong"}, id="a wrong token"),
    ],
)
def test_whoever_cannot_log_in_is_told_so_at_once(wrong: dict[str, str], shop: Shop) -> None:
    with closing(Airflow(shop.access(**wrong))) as airflow, pytest.raises(Unreachable):
        airflow.check()


def test_a_token_is_as_good_as_a_password(shop: Shop) -> None:
    api = Api(shop.access())
    api.get("dags")

    with closing(Airflow(shop.access(username="", password="", token=api._token))) as airflow:
        airflow.check()
    api.close()
