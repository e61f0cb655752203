"""The log: one line an event on standard error, JSON for machines, colours for people on a terminal.

Nothing here is global: `logger` gives a logger to whoever wants one. `capture` alone reaches into the process, so that
what libraries say through `logging` becomes lines of the same shape.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from detector.config import Log, Secret

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


class Forward(logging.Handler):
    """Hands what libraries log on to a structlog logger."""

    def __init__(self, to: FilteringBoundLogger) -> None:
        """`to` writes the lines."""
        super().__init__(logging.WARNING)
        self._to = to

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        try:
            write: Callable[..., Any] = self._to.error if record.levelno >= logging.ERROR else self._to.warning
            write("library", logger=record.name, message=record.getMessage(), exc_info=record.exc_info)
        except Exception:  # noqa: BLE001 - as every handler: a log line must not end what it speaks of
            self.handleError(record)


def capture(to: FilteringBoundLogger) -> None:
    """From now on, what libraries log in this process is written by `to`: for the command that runs the daemon."""
    logging.basicConfig(handlers=[Forward(to)], level=logging.WARNING, force=True)
