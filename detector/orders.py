"""Sends what people say as records of the topic of commands, and waits for what came of it on the control topic.

The reader stands at the end of the control topic before anything is sent, so that no answer is missed. A command that
nobody has answered in time is not lost: it is in the topic, and is done when a worker comes to it.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from detector.core.commands import AnyCommand, Feedback
from detector.core.emissions import CommandDone
from detector.errors import Unreachable
from detector.reach import EVER_RAN, Reach, absent
from detector.tail import Shown, Tail, Wanted

ANSWER = 10.0
MORE = 0.7  # seconds: a verdict is answered for each anomaly that it is on, and of an incident by each entity
Answers = dict[str, list[CommandDone]]


class Orders:
    """Gives commands. `topics` are the names of the topic of commands and of the control topic."""

    def __init__(self, settings: Mapping[str, Any], commands: str, control: str) -> None:
        self._settings, self._commands, self._control = settings, commands, control

    def send(self, given: Sequence[AnyCommand]) -> None:
        """Put commands on their topic, and do not wait for what comes of it. Raises `Unreachable`."""
        reach = Reach()
        producer = Producer(
            {
                **self._settings,
                **reach.settings,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": "murmur2_random",  # the default one scatters what has no entity, and loses its order
                "delivery.timeout.ms": int(ANSWER * 1_000),
            }
        )
        self._look(producer, reach)
        failed: list[str] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error.str())

        for command in given:
            key = getattr(command, "entity", None) or ""
            producer.produce(self._commands, msgspec.json.encode(command), key, on_delivery=delivered)
        if producer.flush(2 * ANSWER) or failed:
            raise Unreachable(f"the command was not delivered: {failed[0] if failed else 'Kafka does not answer'}")

    def give(self, given: Sequence[AnyCommand], patience: float) -> Answers:
        """The same, and what came of each, by its id; nothing of those that nobody answered within `patience` seconds.

        Raises `Unreachable`.
        """
        answers: Answers = {command.id: [] for command in given}
        with Tail(self._settings, self._control, Wanted(type="command.done")) as topic:
            topic.skip()
            self.send(given)
            _collect(topic, answers, patience, MORE if any(isinstance(one, Feedback) for one in given) else 0.0)
        return answers

    def _look(self, producer: Producer, reach: Reach) -> None:
        where, topic = self._settings["bootstrap.servers"], self._commands
        try:
            known = reach.ask(producer, lambda within: producer.list_topics(topic, timeout=within), ANSWER)
        except KafkaException as error:
            raise Unreachable(f"Kafka at {where} does not answer: {error.args[0].str()}") from None
        found = known.topics[topic]
        if found.error is not None:
            raise Unreachable(f"Kafka at {where} {absent(topic, found.error, EVER_RAN)}")


def _collect(topic: Tail, answers: Answers, patience: float, more: float) -> None:
    """Take answers until all are there, and for `more` seconds then; at most for `patience` seconds in all."""
    until = [time.monotonic() + patience]
    for shown in topic.follow(lambda: time.monotonic() >= until[-1]):
        done = _done(shown)
        of = None if done is None else next((given for given in answers if is_of(done.id, given)), None)
        if done is not None and of is not None:
            answers[of].append(done)
            if all(answers.values()):
                until.append(min(until[0], time.monotonic() + more))


def _done(shown: Shown) -> CommandDone | None:
    try:
        return msgspec.convert(shown.event["data"], CommandDone)
    except msgspec.ValidationError:
        return None  # of a newer release, and of somebody else's command


def is_of(answered: str, given: str) -> bool:
    """A verdict on an incident goes on to each of its findings, with more of an id."""
    return answered == given or answered.startswith(f"{given}/")
