"""The log: one line an event on standard error, JSON for machines, colours for people on a terminal.

Nothing here is global: `logger` gives a logger to whoever wants one. `capture` alone reaches into the process, so that
what libraries say through `logging` becomes lines of the same shape.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from detector.config import Log, Secret

QUIET: Final = 30.0
MOST_REPEATS: Final = 10_000
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def logger(log: Log, stream: TextIO = sys.stderr) -> FilteringBoundLogger:
    """A logger that writes to `stream` in the configured form."""
    people = log.format == "console" or (log.format == "auto" and stream.isatty())
    found: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stream),
        processors=_for_people(stream.isatty()) if people else _for_machines(),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[log.level]),
        context_class=dict,
    )
    return found


def silent() -> FilteringBoundLogger:
    """A logger that writes nothing."""
    found: FilteringBoundLogger = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL)
    )
    return found


def _for_machines() -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,  # without local variables, which hold data and secrets
        structlog.processors.JSONRenderer(default=_text, ensure_ascii=False),
    ]


def _for_people(colours: bool) -> list[Processor]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
        _printable,
        structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
        ),
    ]


def _printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Names come from outside, and could hold what moves a terminal's cursor or changes its colours."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = value.encode("unicode_escape").decode()
    return event


def _text(value: object) -> str:
    return repr(value) if isinstance(value, Secret) else str(value)


class Repeats:
    """Lets one of many equal events through, so often."""

    def __init__(self, every: float = QUIET) -> None:
        """`every` is in seconds."""
        self._every = every
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def told(self, event: str, of: str, now: float) -> int | None:
        """How many were kept back since the last that was let through; None if this one is kept back, too."""
        at, kept = self._told.get((event, of), (-self._every, 0))
        if now - at < self._every:
            self._told[event, of] = at, kept + 1
            return None
        if len(self._told) >= MOST_REPEATS:
            self._told.clear()
        self._told[event, of] = now, 0
        return kept


class Forward(logging.Handler):
    """Hands what libraries log on to a structlog logger; what begins alike, once in a while.

    librdkafka says some forty times a second that a broker is away: of each client, each thread and each address.
    """

    def __init__(self, to: FilteringBoundLogger, clock: Callable[[], float] = time.monotonic) -> None:
        """`to` writes the lines; `clock` gives seconds."""
        super().__init__(logging.WARNING)
        self._to, self._clock, self._repeats = to, clock, Repeats()

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        try:
            message = record.getMessage()
            kept = self._repeats.told(record.name, message.partition(" ")[0], self._clock())
            if kept is None:
                return
            write: Callable[..., Any] = self._to.error if record.levelno >= logging.ERROR else self._to.warning
            repeated = {"repeated": kept} if kept else {}
            write("library", logger=record.name, message=message, **repeated, exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - as every handler: a log line must not end what it speaks of
            self.handleError(record)


def capture(to: FilteringBoundLogger) -> None:
    """From now on, what libraries log in this process is written by `to`: for the command that runs the daemon."""
    logging.basicConfig(handlers=[Forward(to)], level=logging.WARNING, force=True)
