"""(d) The same in Bytewax with recovery: state in memory, with the positions in SQLite at the end of an epoch.

An epoch is ten seconds, as `bytewax.run` has it by default; a batch a thousand records. A crash says alerts again.
"""

import json
from datetime import timedelta
from typing import Any

import bytewax.operators as op  # type: ignore[import-not-found]
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSource  # type: ignore[import-not-found]
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow  # type: ignore[import-not-found]
from bytewax.recovery import RecoveryConfig, init_db_dir  # type: ignore[import-not-found]
from bytewax.run import cli_main  # type: ignore[import-not-found]

from bench.contenders.common import Job, Stopwatch, decode, job
from bench.contenders.judging import JobState


def flow_of(todo: Job, watch: Stopwatch) -> Any:
    """The dataflow."""

    def read(message: Any) -> tuple[str, Any]:
        if watch.seen == 0:
            watch.start()
        watch.seen += 1
        event = decode(message.value, todo.schema)
        return event["name"], event

    def judge(state: JobState | None, event: Any) -> tuple[JobState, list[dict[str, Any]]]:
        state = state or JobState()
        return state, state.on_event(event)

    def alert(keyed: tuple[str, dict[str, Any]]) -> Any:
        watch.alerts += 1
        key, found = keyed
        return KafkaSinkMessage(key.encode(), json.dumps(found).encode())

    flow = Dataflow("bench")
    source = KafkaSource([todo.bootstrap], [todo.topic], tail=False)
    keyed = op.map("read", op.input("events", flow, source), read)
    alerts = op.map("alert", op.stateful_flat_map("judge", keyed, judge), alert)
    kop.output("alerts", alerts, brokers=[todo.bootstrap], topic=todo.alerts)
    return flow


def main() -> None:
    """Read the topic to its end."""
    todo, watch = job(), Stopwatch()
    directory = todo.directory / "recovery"
    directory.mkdir()
    init_db_dir(directory, 1)
    cli_main(flow_of(todo, watch), epoch_interval=timedelta(seconds=10), recovery_config=RecoveryConfig(directory))
    watch.stop()


if __name__ == "__main__":
    main()
