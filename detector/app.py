"""The composition root: the only place that names concrete classes. What is made first is closed last.

    run ─┬─ ingest    outside topics ─▶ log                       (stage `ingest`)
         ├─ worker    log ─▶ control topic, breakers, snapshots   (stage `worker`)
         ├─ ticks     time, into the partitions that the worker has
         ├─ view      breakers ─▶ Redis, for `check`
         ├─ history   judged runs ─▶ Redis, for people
         ├─ metrics   breakers and incidents that stand ─▶ memory, for /metrics
         ├─ api       topics ─▶ memory                            (stage `api`)
         └─ web       /healthz, /readyz, /metrics; with `api` the HTTP API, from memory

Each is a thread. If one of them ends with an error, all are stopped, and the error is the process's.
"""

import os
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from threading import Event, Thread
from uuid import uuid4

import redis
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from msgspec.structs import replace

from detector import reshard as resharding
from detector import topics
from detector.alert_reader import AlertReader
from detector.alerting import Alerting
from detector.archive.standing import Groups
from detector.broker import ANSWER, KafkaLog, Member, Settings, topic_identity
from detector.checkpoint import Checkpoint, Limits
from detector.codecs import Decoder, Registry
from detector.compacted import identities
from detector.config import Config, Zones
from detector.core.emissions import Emission
from detector.core.events import DeadLetter
from detector.core.partition import partition_of
from detector.deadletters import send_of
from detector.desk import Desk
from detector.errors import CannotReshard, Unreachable
from detector.executor import Execution
from detector.feed import Feed
from detector.follower import Follower, RedisView
from detector.historian import Historian
from detector.history import History
from detector.ingest import Destination, Ingest
from detector.orders import Orders
from detector.pace import Pace
from detector.plan_reader import PlanReader
from detector.plans import in_namespaces
from detector.published import Published
from detector.reach import Reach
from detector.seams import Compacted, Send
from detector.settings import (
    executor_of,
    kafka_settings,
    owner_of,
    receivers_of,
    redis_client,
    registry_of,
    rules_of,
)
from detector.sinks import cloudevents
from detector.store import RedisStore
from detector.telemetry import Telemetry
from detector.ticks import TickAuthor
from detector.web import Facts, Sources, Web
from detector.worker import Worker

SOURCE = "/detector"
STATE_BYTES = 4_096
STAGES = ("ingest", "worker", "api")
LOOK = 0.1  # seconds until it is seen that all is to stop


@dataclass
class Service:
    """Something that runs in a thread until it is told to stop."""

    name: str
    run: Callable[[Event], None]


@dataclass
class Services:
    """Threads that live and die together."""

    stop: Event
    threads: list[Thread] = field(default_factory=list)
    failure: BaseException | None = None

    def start(self, services: Iterable[Service]) -> None:
        """Start each in a thread of its own."""
        for service in services:
            thread = Thread(target=self._run, args=(service,), name=service.name, daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, service: Service) -> None:
        try:
            service.run(self.stop)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must end the process, not only its thread
            self.failure = self.failure or error
            self.stop.set()

    def wait(self) -> None:
        """Until they are told to stop. Looks now and then: a signal that another thread took does not wake this one, in
        which alone Python handles it; and one that came inside of `Event.wait` could wait for its lock for ever.
        """
        while not self.stop.is_set():
            time.sleep(LOOK)

    def join(self, within: float) -> None:
        """Wait until all have stopped, after being told to. Raises what one of them raised."""
        deadline = time.monotonic() + within
        for thread in self.threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        if self.failure is not None:
            raise self.failure
        late = [thread.name for thread in self.threads if thread.is_alive()]
        if late:
            raise Unreachable(f"{', '.join(late)} did not stop within {within:.0f} s")


def run(
    config: Config,
    stages: Sequence[str] = STAGES,
    stop: Event | None = None,
    *,
    clock: Callable[[], float] = time.time,
    telemetry: Telemetry | None = None,
    embedded: bool = False,
) -> None:
    """Run the stages until `stop` is set. Raises the `DetectorError` that ended it.

    `clock` gives the time of ticks, in seconds since 1970. `embedded` is for librdkafka's mock cluster.
    """
    telemetry = telemetry or Telemetry(gap=config.time.gap, watched=config.metrics.entities)
    settings = kafka_settings(config)
    if not embedded:
        prepare(config, quietly(settings))
    slot = config.worker.slot or default_slot()
    services = Services(stop or Event())
    with ExitStack() as resources:
        client = resources.enter_context(redis_client(config))
        built: list[Service] = []
        sources: Sources | None = None
        if "api" in stages:
            feed, sources = _api(config, settings, client, telemetry, clock, embedded)
            built.append(Service("api", feed.run))
        web = resources.enter_context(Web(config.http, telemetry, sources))
        if "worker" in stages:
            built += _worker(config, settings, client, slot, telemetry, clock, embedded)
        if "ingest" in stages:
            registry = registry_of(config)
            if registry is not None:
                resources.callback(registry.close)
            ingest = _ingest(config, settings, registry, slot, telemetry, embedded)
            built.append(Service("ingest", ingest.run))
        telemetry.started(stages, slot, web.address)
        services.start(built)
        services.wait()
        telemetry.stopping()
        services.join(config.worker.stop_timeout)
    telemetry.stopped()


def execute(config: Config, stop: Event, telemetry: Telemetry) -> None:
    """Let the executor redo what open plans say, until `stop` is set. Raises the `DetectorError` that ended it."""
    group, wanted = group_of("execute", config), config.executor
    with ExitStack() as resources:
        executor = resources.enter_context(closing(executor_of(config)))
        reader = resources.enter_context(closing(PlanReader(kafka_settings(config), group, config.topics.control)))
        telemetry.executing(wanted.kind, group)
        ours = partial(in_namespaces, globs=wanted.namespaces)
        Execution(reader, executor, ours, wanted.parallel, telemetry).run(stop)
    telemetry.stopped()


def alert(config: Config, stop: Event, telemetry: Telemetry) -> None:
    """Tell the receivers of incidents until `stop` is set, each by a thread. Raises what ended it."""
    settings, names = kafka_settings(config), config.topics
    receivers = receivers_of(config)
    keys = ("topics.log", "topics.incidents", "topics.alerts")  # of the log: how many partitions the others have
    needed = [spec for spec in topics.specs(config) if spec.key in keys]
    topics.ensure(AdminClient(dict(quietly(settings))), needed, names.create)
    services = Services(stop)
    with ExitStack() as resources:
        web = resources.enter_context(Web(config.http, telemetry))
        built: list[Service] = []
        for receiver in receivers:
            resources.callback(receiver.sink.close)
            group = f"{group_of('alert', config)}.{receiver.name}"
            reader = resources.enter_context(closing(AlertReader(settings, group, names.incidents, names.alerts)))
            built.append(Service(f"alert {receiver.name}", Alerting(reader, receiver, telemetry).run))
        telemetry.alerting({receiver.name: receiver.sink.kind for receiver in receivers}, web.address)
        services.start(built)
        services.wait()
        telemetry.stopping()
        services.join(config.worker.stop_timeout)
    telemetry.stopped()


def prepare(config: Config, settings: Settings) -> None:
    """Create the topics that are missing; refuse what is wrong. Raises `TopicMismatch` and `Unreachable`."""
    reach = Reach()
    admin = AdminClient({**settings, **reach.settings})
    try:
        topics.ensure(admin, topics.specs(config), config.topics.create)
    except Unreachable as error:
        admin.poll(0.0)  # for what it has to say of its connections, as of a login that failed
        raise Unreachable(f"{error} ({reach.why})" if reach.why else str(error)) from None


def quietly(settings: Settings) -> Settings:
    """For clients that nobody polls, so that their log lines would reach nobody: telemetry tells what fails there."""
    return {**settings, "log_level": 0}


def group_of(stage: str, config: Config) -> str:
    """The consumer group of a stage: installations that share a cluster differ in the name of their log."""
    return f"{config.topics.log}.{stage}"


def default_slot() -> str:
    """The ordinal of a StatefulSet's pod, else something that no other process has."""
    ordinal = re.search(r"-(\d+)$", os.environ.get("HOSTNAME") or socket.gethostname())
    return ordinal.group(1) if ordinal else uuid4().hex[:12]


def _worker(
    config: Config,
    settings: Settings,
    client: redis.Redis,
    slot: str,
    telemetry: Telemetry,
    clock: Callable[[], float],
    embedded: bool,
) -> list[Service]:
    names, quiet = config.topics, quietly(settings)
    _, checkpoint, loop = _checkpoint(config, settings, client, slot, telemetry, embedded)
    author = TickAuthor(
        quiet,
        names.outside,
        group_of("ingest", config),
        names.log,
        lambda: sorted(checkpoint.held),
        config.time.tick,
        clock,
        telemetry,
    )
    follower = Follower(
        quiet,
        names.breakers,
        lambda: topic_identity(quiet, names.breakers, embedded),
        RedisView(client, config.redis.prefix),
        telemetry,
    )
    return [
        Service("worker", loop.run),
        Service("ticks", author.run),
        Service("view", follower.run),
        _historian(config, quiet, client, telemetry),
        _standing(config, quiet, telemetry, embedded),
    ]


def _checkpoint(
    config: Config, settings: Settings, client: redis.Redis, slot: str, telemetry: Telemetry, embedded: bool
) -> tuple[Member, Checkpoint, Worker]:
    """A member of the worker's group, the states that it holds, and its loop."""
    names, worker = config.topics, config.worker
    store = RedisStore(client, config.redis.prefix, names.log)
    store.check()
    topic_id, partitions = topic_identity(quietly(settings), names.log, embedded)
    member = Member(
        settings,
        group_of("worker", config),
        [names.log],
        f"{group_of('worker', config)}-{slot}",
        worker.transaction_timeout,
        embedded,
    )
    compacted: dict[Compacted, str] = {
        "breakers": names.breakers,
        "incidents": names.incidents,
        "snapshots": names.snapshots,
    }
    log = KafkaLog(member, names.log, topic_id, partitions, compacted)

    def encode(emission: Emission) -> Send:
        return cloudevents.encode(emission, SOURCE, names)

    def dead_letter(letter: DeadLetter) -> Send:
        return send_of(letter, names.dead_letters, f"worker-{slot}")

    limits = Limits(
        worker.snapshot_records,
        worker.snapshot_bytes,
        max(worker.cache_bytes // STATE_BYTES, 1),
        config.state.backstop_interval,
    )
    checkpoint = Checkpoint(log, store, rules_of(config), telemetry, encode, dead_letter, names.snapshots, limits)
    pace = Pace(worker.commit_min, worker.commit_max)
    return member, checkpoint, Worker(member, checkpoint, pace, worker.snapshot_interval, telemetry)


def _ingest(
    config: Config, settings: Settings, registry: Registry | None, slot: str, telemetry: Telemetry, embedded: bool
) -> Ingest:
    names, worker = config.topics, config.worker
    member = Member(
        settings,
        group_of("ingest", config),
        names.outside,
        f"{group_of('ingest', config)}-{slot}",
        worker.transaction_timeout,
        embedded,
    )
    decoder = Decoder(registry)
    pace = Pace(worker.commit_min, worker.commit_max)
    _, partitions = topic_identity(quietly(settings), names.log, embedded)
    log = Destination(names.log, partitions, names.commands)
    return Ingest(member, decoder, log, names.dead_letters, f"ingest-{slot}", pace, telemetry)


def _api(
    config: Config,
    settings: Settings,
    client: redis.Redis,
    telemetry: Telemetry,
    clock: Callable[[], float],
    embedded: bool,
) -> tuple[Feed, Sources]:
    names, quiet = config.topics, quietly(settings)
    facts = Facts(names, Zones(), partial(owner_of, config.rules), config.http.max_age, clock)
    feed = Feed(quiet, (names.breakers, names.incidents), (names.control, names.commands), facts, telemetry, embedded)
    desk = Desk(Orders(quiet, names.commands, names.control), facts, feed)
    return feed, Sources(facts, feed, desk, History(client, config.redis.prefix), telemetry.health)


def _standing(config: Config, settings: Settings, telemetry: Telemetry, embedded: bool) -> Service:
    """Reads the breakers and incidents that stand, for the metrics."""
    names = (config.topics.breakers, config.topics.incidents)
    reader = Published(*names, telemetry).reader(settings, partial(identities, settings, list(names), embedded))
    return Service("metrics", reader.run)


def _historian(config: Config, settings: Settings, client: redis.Redis, telemetry: Telemetry) -> Service:
    """Keeps the judged runs of late in Redis, for the series that people look at."""
    of = group_of("history", config), config.topics.runs, client, config.redis.prefix
    return Service("history", Historian(settings, *of, telemetry).run)


def reset(config: Config, partitions: Sequence[int] | None = None) -> list[str]:
    """Accept that state and log do not fit: forget snapshots, and begin where the log begins if an offset is gone.

    All workers must be stopped. Returns what was done, a sentence each. Raises `Unreachable`.
    """
    settings, log = quietly(kafka_settings(config)), config.topics.log
    topic_id, count = topic_identity(settings, log)
    chosen = range(count) if partitions is None else partitions
    done = []
    with redis_client(config) as client:
        store = RedisStore(client, config.redis.prefix, log)
        for partition in chosen:
            store.discard(partition)
            done.append(f"{log}/{partition}: the snapshot is discarded")
    done += _reset_offsets(settings, group_of("worker", config), [TopicPartition(log, p) for p in chosen], topic_id)
    known = AdminClient(dict(settings)).list_topics(timeout=ANSWER).topics
    places = [TopicPartition(t, p) for t in config.topics.outside if t in known for p in known[t].partitions]
    return done + _reset_offsets(settings, group_of("ingest", config), places)


def _reset_offsets(settings: Settings, group: str, places: list[TopicPartition], topic_id: str = "") -> list[str]:
    """Move committed offsets that point at nothing, or into another topic of that name, to the first record left."""
    consumer = Consumer(
        {**settings, "group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed"}
    )
    done = []
    try:
        for at in consumer.committed(places, timeout=ANSWER):
            low, high = consumer.get_watermark_offsets(at, timeout=ANSWER, cached=False)
            other = topic_id and at.metadata and not at.metadata.endswith(f":{topic_id}")
            if at.offset >= 0 and (other or not low <= at.offset <= high):
                consumer.commit(offsets=[TopicPartition(at.topic, at.partition, low)], asynchronous=False)
                done.append(f"{at.topic}/{at.partition}: {group} goes on at {low}, the first record that is left")
    except KafkaException as error:
        raise Unreachable(f"Kafka does not let the offsets of {group} be changed: {error.args[0].str()}") from None
    finally:
        consumer.close()
    return done


Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def resharded(config: Config, to: str, partitions: int) -> Config:
    """The configuration after a reshard. Raises `CannotReshard`."""
    alike = [spec.key.removeprefix("topics.") for spec in topics.specs(config) if spec.as_log]
    return replace(config, topics=resharding.renamed(config.topics, to, partitions, alike))


def plan_reshard(config: Config, to: Config) -> resharding.Plan:
    """What `reshard` would do. Changes nothing. Raises `CannotReshard` while something runs, and `Unreachable`."""
    settings, log, count = quietly(kafka_settings(config)), config.topics.log, to.topics.partitions
    groups = Groups(settings)
    resharding.refuse_members(groups, [log, to.topics.log])
    topic_id, partitions = topic_identity(settings, log)
    spread = Counter[int]()
    with redis_client(config) as client:
        store = RedisStore(client, config.redis.prefix, log)
        for number in range(partitions):
            head, due = store.open(number)
            if head is not None and head.topic_id == topic_id:
                spread.update(partition_of(key, count) for key in due)
    judged = groups.standing(group_of("worker", config), groups.partitions([log]))
    read = groups.standing(group_of("ingest", config), groups.partitions(config.topics.outside))
    return resharding.Plan(
        log=log,
        partitions=partitions,
        entities=[spread[number] for number in range(count)],
        unjudged=resharding.left(judged),
        unread=resharding.left(read),
    )


def reshard(config: Config, to: Config, progress: Progress) -> int:
    """Begin the log of `to` with the states of that of `config`; returns how many entities it begins with.

    `progress` names what is going on, and gives who hears how far. Raises `CannotReshard` and `Unreachable`.
    """
    settings, new = quietly(kafka_settings(config)), to.topics
    groups = Groups(settings)
    resharding.refuse_members(groups, [config.topics.log, new.log])
    prepare(to, settings)
    _, partitions = topic_identity(settings, new.log)
    if partitions != new.partitions:
        raise CannotReshard(f"{new.log} is there already, with {partitions} partitions: name another with --to")
    carrier = resharding.Carrier(settings, new.log)
    resharding.refuse_begun(settings, new.log)
    with redis_client(config) as client:
        member, checkpoint, loop = _checkpoint(config, settings, client, "reshard", Telemetry(), embedded=False)
        with closing(loop):
            drain = resharding.Drain(member, checkpoint, loop, groups, groups.partitions([config.topics.log]))
            return _carry(config, to, checkpoint, drain, carrier, progress)


def _carry(
    config: Config,
    to: Config,
    checkpoint: Checkpoint,
    drain: resharding.Drain,
    carrier: resharding.Carrier,
    progress: Progress,
) -> int:
    settings, ours, old, new = quietly(kafka_settings(config)), group_of("worker", config), config.topics, to.topics
    groups = Groups(settings)
    with progress("offsets judged of the old log") as told:
        ends = drain.run(ours, told)
    known = sum(len(held.partition.due) for held in checkpoint.held.values())

    def check() -> None:
        resharding.refuse_members(groups, [old.log, new.log], besides=[ours])
        drain.refuse_changes(ours, ends)

    (of, _), (topic_id, _) = topic_identity(settings, old.log), topic_identity(settings, new.log)
    sends = [resharding.carried(checkpoint, of, new.log, new.partitions)]
    for spec in topics.specs(config):
        key = spec.key.removeprefix("topics.")
        if spec.as_log and key not in resharding.MADE_ANEW:
            sends.append(resharding.copied(settings, spec.name, getattr(new, key), new.partitions))
    with progress("entities carried over") as told:
        still = drain.still(chain.from_iterable(sends), known, told)
        carrier.write(still, resharding.positions(groups, old, new, topic_id), check)
    return known
