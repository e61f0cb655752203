"""(b) The script of an afternoon: poll, decode, judge with River, state pickled in Redis, alerts to a topic.

Neither exactly-once nor safe from two of its kind, but it works, and many run one like it.
"""

import json
import pickle

import redis
from confluent_kafka import Consumer, Producer

from bench.contenders.common import Stopwatch, decode, job
from bench.contenders.judging import JobState


def main() -> None:
    """Read the topic to its end."""
    todo, watch = job(), Stopwatch()
    consumer = Consumer(
        {"bootstrap.servers": todo.bootstrap, "group.id": todo.name, "auto.offset.reset": "earliest"},
    )
    producer = Producer({"bootstrap.servers": todo.bootstrap})
    states = redis.Redis.from_url(todo.redis)
    consumer.subscribe([todo.topic])
    while watch.seen < todo.events:
        message = consumer.poll(1.0)
        if message is None or message.error() is not None:
            continue
        if watch.seen == 0:
            watch.start()
        event = decode(message.value() or b"", todo.schema)
        key = f"{todo.name}:{event['name']}"
        stored = states.get(key)
        state = pickle.loads(stored) if isinstance(stored, bytes) else JobState()
        for alert in state.on_event(event):
            producer.produce(todo.alerts, json.dumps(alert), event["name"])
            watch.alerts += 1
        producer.poll(0)
        states.set(key, pickle.dumps(state))
        watch.seen += 1
    producer.flush()
    consumer.commit(asynchronous=False)  # by itself it commits every five seconds
    watch.stop()
    consumer.close()


if __name__ == "__main__":
    main()
