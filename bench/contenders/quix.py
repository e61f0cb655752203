"""(c) The same in Quix Streams, exactly once: state in RocksDB with a changelog topic, all in one transaction.

Everything is at the defaults of `Application`, but for the guarantee; it commits every five seconds, and in the end.
State is bytes (`set_bytes`), since River's objects cannot be JSON.
"""

import pickle
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found]
from quixstreams.models.serializers import Deserializer  # type: ignore[import-not-found]

from bench.contenders.common import Stopwatch, decode, job
from bench.contenders.judging import JobState


class SingleObject(Deserializer):  # type: ignore[misc]
    """What its AvroDeserializer does, for values that begin with their schema's fingerprint."""

    def __init__(self, schema: Any) -> None:
        super().__init__()
        self._schema = schema

    def __call__(self, value: bytes, ctx: object) -> Any:  # noqa: ARG002 - it is handed over by name
        return decode(value, self._schema)


def main() -> None:
    """Read the topic to its end."""
    todo, watch = job(), Stopwatch()

    def counted(*_: object) -> None:
        watch.seen += 1
        if watch.seen == todo.events:
            app.stop()

    app = Application(
        broker_address=todo.bootstrap,
        consumer_group=todo.name,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=todo.directory / "state",
        loglevel="WARNING",
        on_message_processed=counted,
    )
    events = app.topic(todo.topic, value_deserializer=SingleObject(todo.schema))
    alerts = app.topic(todo.alerts)

    def judge(event: Any, state: State) -> list[dict[str, Any]]:
        if watch.began == 0:
            watch.start()
        stored = state.get_bytes("job")
        judged = pickle.loads(stored) if stored is not None else JobState()
        found: list[dict[str, Any]] = judged.on_event(event)
        state.set_bytes("job", pickle.dumps(judged))
        watch.alerts += len(found)
        return found

    app.dataframe(events).apply(judge, stateful=True, expand=True).to_topic(alerts)
    app.run()
    watch.stop()


if __name__ == "__main__":
    main()
