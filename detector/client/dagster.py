"""Dagster: assets and ops that go on if their breaker lets them. `pip install 'detector[dagster]'`.

Who may not go on fails with `dagster.Failure`, and is not retried: an hour of retries would only hide why.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import dagster
from pydantic import PrivateAttr

from detector.client.asking import LOG, Client, OnUnknown, Permission, told

F = TypeVar("F", bound=Callable[..., Any])


class DetectorResource(dagster.ConfigurableResource):  # type: ignore[misc, unused-ignore]
    """Where breakers are asked for, as a resource: `detector: DetectorResource`.

    What is empty is taken from the environment of the process, as for `Client`.
    """

    url: str = ""
    token: str = ""
    source: str = ""
    on_unknown: str = "allow"
    timeout: float = 2.0
    _client: Client | None = PrivateAttr(default=None)

    def check(self, entity: str, **asked: Any) -> Permission:
        """May this entity's pipeline go on? What can be asked is what `Client.check` takes."""
        if self._client is None:
            self._client = Client(
                url=self.url or None,
                token=self.token or None,
                source=cast("Any", self.source or None),
                on_unknown=cast("OnUnknown", self.on_unknown),
                timeout=self.timeout,
            )
        return self._client.check(entity, **asked)

    def gate(self, entity: str, **asked: Any) -> Permission:
        """The same, but who may not go on fails, without a retry."""
        return _let_go(self.check(entity, **asked))

    def teardown_after_execution(self, context: Any) -> None:  # noqa: ARG002 - Dagster's signature
        """Let go of what is open."""
        if self._client is not None:
            self._client.close()


def guarded(entity: str, *, client: Client | None = None, **asked: Any) -> Callable[[F], F]:
    """Below `@asset` or `@op`: the function runs if the entity may go on, else it fails without a retry."""
    asks = client or Client()

    def decorate(function: F) -> F:
        @wraps(function)
        def asks_first(*args: Any, **named: Any) -> Any:
            _let_go(asks.check(entity, **asked))
            return function(*args, **named)

        return cast("F", asks_first)

    return decorate


def breaker_check(
    asset: Any, entity: str, *, client: Client | None = None, blocking: bool = True, **asked: Any
) -> dagster.AssetChecksDefinition:
    """An asset check that fails while the entity's breaker is open; `blocking`, what is downstream waits for it."""
    asks = client or Client()

    @dagster.asset_check(asset=asset, name="detector_breaker", blocking=blocking, description=f"Breaker of {entity}")
    def detector_breaker() -> dagster.AssetCheckResult:
        answer = asks.check(entity, **asked)
        severity = dagster.AssetCheckSeverity.ERROR if not answer.allowed else dagster.AssetCheckSeverity.WARN
        passed = answer.outcome == "allowed"
        return dagster.AssetCheckResult(
            passed=passed, severity=severity, description=answer.message, metadata=_metadata(answer)
        )

    return detector_breaker


def _let_go(answer: Permission) -> Permission:
    if not answer.allowed:
        raise dagster.Failure(description=told(answer), metadata=_metadata(answer), allow_retries=False)
    if answer.verdict == "unknown":
        LOG.warning("%s goes on although nobody knows whether it may: %s", answer.entity, answer.message)
    return answer


def _metadata(answer: Permission) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in ("entity", "outcome", "verdict", "reason")}
