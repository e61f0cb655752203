"""Is there a Kafka? Librdkafka tries again for as long as it is let, also where nobody listens, and a person waits.

So a question gets a short time first, in which a broker that is there has been connected to, by the second of its
addresses or after a refusal, too. If by then no broker at all could be reached, that is the answer, with librdkafka's
reason; else the question gets the rest of its time, since a broker may be slow.
"""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from confluent_kafka import KafkaError, KafkaException

SOON: Final = 1.5
EVER_RAN: Final = ": did `detector run` ever run here?"
_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
T = TypeVar("T")


def absent(topic: str, error: KafkaError, advice: str = "") -> str:
    """What Kafka says of a topic that it does not show, as the end of a sentence: it is not there, or not for all."""
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return f"does not let this user see topic {topic}: deploy/kafka/acls.sh gives it the rights of its part"
    return f"has no topic {topic}{advice}"


class Client(Protocol):
    """A consumer, a producer or an admin client."""

    def poll(self, timeout: float, /) -> Any:
        """Let librdkafka tell what it has to tell."""


class Reach:
    """What one client hears of its brokers: made before the client, which gets `settings`."""

    def __init__(self, soon: float = SOON) -> None:
        """Brokers have `soon` seconds until nobody waits any longer for those that cannot be reached."""
        self._soon, self._down, self._why = soon, False, ""

    @property
    def settings(self) -> dict[str, Any]:
        """What the client's settings must have."""
        return {"error_cb": self._told}

    def _told(self, error: KafkaError) -> None:
        if error.code() == _DOWN:
            self._down = True
        else:
            self._why = error.str()

    @property
    def why(self) -> str:
        """What librdkafka said last of why it reaches nobody; nothing if it said nothing."""
        return self._why

    def ask(self, client: Client, question: Callable[[float], T], within: float) -> T:
        """The answer to `question`, which is given the seconds that it may take. Raises `KafkaException`."""
        began = time.monotonic()
        try:
            return question(min(self._soon, within))
        except KafkaException:
            client.poll(0.0)
            if self._down:
                raise KafkaException(KafkaError(_DOWN, self._why)) from None
        return question(max(within - (time.monotonic() - began), 0.1))
