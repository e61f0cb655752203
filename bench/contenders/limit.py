"""(a) Consume and decode, and nothing else: what nobody who uses fastavro is faster than on one core."""

from confluent_kafka import Consumer

from bench.contenders.common import Stopwatch, decode, job

BATCH = 1_000


def main() -> None:
    """Read the topic to its end."""
    todo, watch = job(), Stopwatch()
    consumer = Consumer(
        {
            "bootstrap.servers": todo.bootstrap,
            "group.id": todo.name,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,  # the default, a second, stalls a consumer that catches up
        }
    )
    consumer.subscribe([todo.topic])
    schema = todo.schema
    while watch.seen < todo.events:
        for message in consumer.consume(BATCH, 1.0):
            value = message.value()
            if message.error() is not None or value is None:
                continue
            if watch.seen == 0:
                watch.start()
            decode(value, schema)
            watch.seen += 1
    consumer.commit(asynchronous=False)
    watch.stop()
    consumer.close()


if __name__ == "__main__":
    main()
