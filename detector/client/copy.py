"""A copy of compacted topics in memory: who asks has its answer at once, also while Kafka is away."""

import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from functools import partial
from threading import Event
from types import TracebackType
from typing import Any, Self

from confluent_kafka import Message, TopicPartition

from detector.compacted import ASK_AGAIN, LONGEST_WAIT, START, Identity, Reader, identities, text

SOON = 1.5
CLOSES = 15.0

OnChange = Callable[[str, str, bytes | None], None]


class Values(Mapping[str, bytes]):
    """The last value of each key. It may change while it is looked at: who iterates has what there was at the start."""

    def __init__(self) -> None:
        self._now: dict[str, bytes] = {}

    def __getitem__(self, key: str) -> bytes:
        return self._now[key]

    def __contains__(self, key: object) -> bool:
        return key in self._now

    def __len__(self) -> int:
        return len(self._now)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._now))

    def items(self) -> ItemsView[str, bytes]:
        """Keys and values, as they are now."""
        return self._now.copy().items()

    def values(self) -> ValuesView[bytes]:
        """The values, as they are now."""
        return self._now.copy().values()

    def put(self, key: str, value: bytes | None) -> None:
        """Take one change."""
        if value is None:
            self._now.pop(key, None)
        else:
            self._now[key] = value

    def replace(self, fresh: dict[str, bytes]) -> dict[str, bytes | None]:
        """Become what was read anew; returns what differs."""
        old, self._now = self._now, fresh
        gone = {key: None for key in old if key not in fresh}
        return {**gone, **{key: value for key, value in fresh.items() if old.get(key) != value}}


class _Topic:
    """One topic of the copy. What is read anew becomes the values when it is whole, so they never have a part only."""

    def __init__(self, name: str) -> None:
        self.name, self.values = name, Values()
        self._identity: Identity = ("", 0)
        self._at: dict[int, int] = {}
        self._fresh: dict[str, bytes] | None = {}
        self._reading: set[int] = set()

    @property
    def whole(self) -> bool:
        """Whether the values are all that there was when it was begun."""
        return self._fresh is None

    def begin(self, identity: Identity) -> list[TopicPartition]:
        """Where to read on: where it was, unless it is another topic."""
        if identity != self._identity:
            self._identity, self._fresh = identity, {}
            self._at = dict.fromkeys(range(identity[1]), START)
            self._reading = set(self._at)
        return [TopicPartition(self.name, partition, at) for partition, at in self._at.items()]

    def take(self, message: Message) -> dict[str, bytes | None]:
        """Fold one record; returns what it changed."""
        key, value = (message.key() or b"").decode(errors="replace"), message.value()
        self._at[message.partition() or 0] = (message.offset() or 0) + 1
        if not key:
            return {}
        if self._fresh is None:
            self.values.put(key, value)
            return {key: value}
        if value is None:
            self._fresh.pop(key, None)
        else:
            self._fresh[key] = value
        return {}

    def ended(self, partition: int) -> dict[str, bytes | None]:
        """A partition was read to its end; returns what changed, when it was the last one."""
        self._reading.discard(partition)
        if self._fresh is None or self._reading:
            return {}
        fresh, self._fresh = self._fresh, None
        return self.values.replace(fresh)

    def forget(self) -> None:
        """Begin anew."""
        self._identity = ("", 0)


class Copy:
    """Follows compacted topics whole into memory, in a thread of its own. Use it in a `with`, or `start` and `close`.

    `settings` are librdkafka's, how to reach Kafka. `caught_up` is set when all topics have been read to the end that
    they had, and stays so: while Kafka is away, the values are the last ones, and `trouble` says why. `on_change` is
    told in that thread of the topic, the key, and the value or None; first, when a topic has been read, of all that is
    there. `identify` gives the ids and the numbers of partitions of the topics, and raises `Unreachable`; every
    `ask_again` seconds it tells whether a topic was made anew.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        topics: Sequence[str],
        on_change: OnChange | None = None,
        *,
        identify: Callable[[], Mapping[str, Identity]] | None = None,
        ask_again: float = ASK_AGAIN,
    ) -> None:
        quiet = {"log_level": 0, **settings}
        self.caught_up = Event()
        self.trouble: str | None = "it has not begun yet"
        self._topics = {name: _Topic(name) for name in topics}
        self._on_change = on_change
        ask = identify or partial(identities, quiet, list(topics), soon=SOON)
        self._reader = Reader(quiet, ask, self, ask_again=ask_again)
        self._stop = Event()
        self._thread = threading.Thread(target=self._run, name="detector-copy", daemon=True)

    def values(self, topic: str) -> Values:
        """The last value of each key of a topic; never blocks."""
        return self._topics[topic].values

    def start(self) -> Self:
        """Begin to follow; returns at once."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Follow no longer. The values stay."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(CLOSES)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _run(self) -> None:
        """Follow, whatever happens: who has a copy asks `trouble`, and is never told by an exception."""
        while not self._stop.is_set():
            try:
                self._reader.run(self._stop)
            except Exception as error:  # noqa: BLE001
                self.trouble = f"{type(error).__name__}: {error}"
                self._stop.wait(LONGEST_WAIT)

    def _tell(self, topic: str, changes: Mapping[str, bytes | None]) -> None:
        if self._on_change is not None:
            for key, value in changes.items():
                self._on_change(topic, key, value)

    # ------------------------------------------------------------ the fold that the reader follows

    def begin(self, found: Mapping[str, Identity]) -> list[TopicPartition]:
        """Where to read on in each topic."""
        return [place for name, topic in self._topics.items() for place in topic.begin(found[name])]

    def take(self, messages: Sequence[Message]) -> None:
        """Fold records."""
        for message in messages:
            topic = self._topics[message.topic() or ""]
            self._tell(topic.name, topic.take(message))

    def ended(self, place: TopicPartition) -> None:
        """See whether all is there."""
        self._tell(place.topic, self._topics[place.topic].ended(place.partition))
        if all(each.whole for each in self._topics.values()):
            self.caught_up.set()

    def forget(self, place: TopicPartition) -> None:
        """Read the topic anew."""
        self._topics[place.topic].forget()

    def look(self) -> None:
        """Memory does not move."""

    def answered(self) -> None:
        """Nothing is wrong."""
        self.trouble = None

    def waits(self, why: Exception) -> None:
        """Keep why nothing comes."""
        self.trouble = text(why)
