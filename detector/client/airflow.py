"""Airflow 3: tasks that go on if their breaker lets them. `pip install 'detector[airflow]'`.

Who may not go on fails, and is not retried: an hour of retries would only hide why. Nothing is ever skipped, since what
comes after a skipped task may run all the same. Who does not name an entity means the task itself, by the name that
OpenLineage has for it.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from airflow.sdk import BaseOperator, BaseSensorOperator, get_current_context
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowFailException

from detector.client.asking import LOG, Client, OnUnknown, Permission, told
from detector.client.telling import names

F = TypeVar("F", bound=Callable[..., Any])
EVERY = 60.0


class DetectorGate(BaseOperator):
    """A task that fails, without a retry, unless `entity` may go on. What was answered is its XCom.

    `client` is what `Client` takes (`url`, `source`); without it, the environment of the worker says where to ask.
    """

    template_fields: Sequence[str] = ("entity", "partitions", "columns", "probe")
    ui_color = "#d6eaf8"

    def __init__(
        self,
        *,
        entity: str,
        on_unknown: OnUnknown = "allow",
        partitions: Sequence[str] = (),
        columns: Sequence[str] = (),
        probe: str | None = None,
        client: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """The rest is what every operator takes."""
        super().__init__(**kwargs)
        self.entity, self.on_unknown, self.probe = entity, on_unknown, probe
        self.partitions, self.columns, self.client = partitions, columns, client

    def execute(self, context: Any) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Fail, or say what was answered."""
        return _summary(_let_go(_asked(self)))

    def get_openlineage_facets_on_start(self) -> Any:
        """For OpenLineage's provider: it reads the dataset, so that its refusal is of that one's incident."""
        return _reads(self.entity)


class DetectorSensor(BaseSensorOperator):
    """Waits until `entity` may go on, by default without holding a slot. It fails when its `timeout` is over."""

    template_fields: Sequence[str] = ("entity", "partitions", "columns", "probe")
    ui_color = "#d6eaf8"

    def __init__(
        self,
        *,
        entity: str,
        on_unknown: OnUnknown = "allow",
        partitions: Sequence[str] = (),
        columns: Sequence[str] = (),
        probe: str | None = None,
        client: Mapping[str, Any] | None = None,
        mode: str = "reschedule",
        poke_interval: float = EVERY,
        **kwargs: Any,
    ) -> None:
        """The rest is what every sensor takes, but `soft_fail` and `never_fail`. Raises `ValueError`."""
        for name in ("soft_fail", "never_fail"):
            if kwargs.get(name):
                raise ValueError(f"{name} would skip the task, and what comes after it might run on bad data")
        super().__init__(mode=mode, poke_interval=poke_interval, **kwargs)
        self.entity, self.on_unknown, self.probe = entity, on_unknown, probe
        self.partitions, self.columns, self.client = partitions, columns, client

    def poke(self, context: Any) -> bool:  # noqa: ARG002 - Airflow's signature
        """Whether it may go on now."""
        answer = _asked(self)
        LOG.info("%s: %s: %s", answer.entity, answer.outcome, answer.message)
        return answer.allowed

    def get_openlineage_facets_on_start(self) -> Any:
        """As `DetectorGate` has it."""
        return _reads(self.entity)


def _reads(entity: str) -> Any:
    """The lineage of who asks for a dataset; None for who asks for a job. The provider asks, so it is there."""
    if not entity.startswith("dataset:"):
        return None
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import Dataset

    namespace, name = names(entity, "dataset")
    return OperatorLineage(inputs=[Dataset(namespace=namespace, name=name)])


def before(
    entity: str | None = None, *, client: Mapping[str, Any] | None = None, **asked: Any
) -> Callable[[Any], None]:
    """For `pre_execute` of any operator: the task fails, without a retry, unless it may go on."""

    def pre_execute(context: Any) -> None:
        _let_go(_check(entity or entity_of(context["ti"]), client, asked))

    return pre_execute


def guarded(entity: str | None = None, *, client: Mapping[str, Any] | None = None, **asked: Any) -> Callable[[F], F]:
    """Below `@task`: the same for a function. What is asked is what `Client.check` takes."""

    def decorate(function: F) -> F:
        @wraps(function)
        def asks_first(*args: Any, **named: Any) -> Any:
            _let_go(_check(entity or entity_of(get_current_context()["ti"]), client, asked))
            return function(*args, **named)

        return cast("F", asks_first)

    return decorate


def entity_of(instance: Any) -> str:
    """The entity of a task, as OpenLineage's provider names it."""
    namespace = conf.get("openlineage", "namespace", fallback="") or os.getenv("OPENLINEAGE_NAMESPACE", "default")
    return f"job:{namespace}/{instance.dag_id}.{instance.task_id}"


def _asked(operator: Any) -> Permission:
    asked = {"probe": operator.probe, "partitions": tuple(operator.partitions), "columns": tuple(operator.columns)}
    return _check(operator.entity, operator.client, {**asked, "on_unknown": operator.on_unknown})


def _check(entity: str, client: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> Permission:
    with Client(**(client or {})) as made:
        return made.check(entity, **asked)


def _let_go(answer: Permission) -> Permission:
    if not answer.allowed:
        raise AirflowFailException(told(answer))
    if answer.verdict == "unknown":
        LOG.warning("%s goes on although nobody knows whether it may: %s", answer.entity, answer.message)
    return answer


def _summary(answer: Permission) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in ("entity", "outcome", "verdict", "reason", "message")}
