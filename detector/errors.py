"""Every exception that Detector raises on purpose. Bad input is not among them: a codec returns a `DeadLetter`.

DetectorError
├── ConfigError            fix the file: the message names the path and what is known there
├── CalendarError          mend the file of windows: the message names the line and the event
├── TopicMismatch          a topic exists with settings that would lose or reorder data
├── Unreachable            a service (Kafka, Redis, registry) does not answer
├── CommitAborted          the transaction was rolled back: recover every partition that was in it
├── Fenced                 a second process uses this worker's slot: exit
├── SnapshotMoved          another owner wrote the snapshot: recover the partition
├── SnapshotTooNew         a newer release wrote the snapshot: refuse the partition
├── StateAheadOfLog        the snapshot is ahead of the committed offset: an operator decides
├── LogMoved               the log is not the one that the snapshot was taken of: an operator decides
├── BackupRefused          a file of states cannot be written, is not whole, or is not of this log
├── CannotReshard          a new log cannot be begun with the states of the old one now; nothing was changed
├── ExecutorBusy           who redoes runs does not answer, or not now: ask again after `retry_after`
├── RedoRefused            this run cannot be redone by the executor: somebody must
├── SinkBusy               who is told of incidents does not answer, or not now: tell it again
├── SinkRefused            who is told of incidents does not take this message, now or later
├── Unreadable             what was to be profiled cannot be read: the message names it, and holds no value of it
└── IllegalTransition      a bug in the breaker: crash
"""


class DetectorError(Exception):
    """Base of all errors that Detector raises on purpose."""


class ConfigError(DetectorError):
    """The configuration is wrong; the message names the path (`breaker.wiat: unknown key; known: ...`)."""


class CalendarError(DetectorError):
    """An .ics file cannot be read; the message names the line, and the event if it is in one."""


class TopicMismatch(DetectorError):
    """A topic exists with settings that would lose or reorder data; the message says which and what to do."""


class Unreachable(DetectorError):
    """A service that is needed does not answer; the message says which, where, and what was tried."""


class CommitAborted(DetectorError):
    """A transaction was rolled back, or its outcome is unknown: every partition in it must be recovered."""


class Fenced(DetectorError):
    """Another process uses the same worker slot (`transactional.id`); this one must exit."""


class SnapshotMoved(DetectorError):
    """The snapshot in Redis is not at the expected offset: another owner wrote it, or Redis lost it."""


class SnapshotTooNew(DetectorError):
    """The snapshot was written by a newer release, in a format that this one does not know."""


class StateAheadOfLog(DetectorError):
    """The snapshot is true for an offset after the committed one: somebody rewound the consumer group."""


class LogMoved(DetectorError):
    """The log was re-created, repartitioned or truncated below what is needed: an operator must decide."""


class BackupRefused(DetectorError):
    """A backup of states cannot be written here, or what is in the file must not be put back; the message says why."""


class CannotReshard(DetectorError):
    """A new log cannot begin with the states of the old one now; the message says why. Nothing was changed."""


class ExecutorBusy(DetectorError):
    """Who redoes runs does not answer, or says that it cannot now; nothing is wrong with what was asked."""

    def __init__(self, message: str, retry_after: float) -> None:
        """`retry_after` is in seconds."""
        super().__init__(message)
        self.retry_after = retry_after


class RedoRefused(DetectorError):
    """The executor cannot redo this run, now or later; the message says why, and what a person can do."""


class SinkBusy(DetectorError):
    """Who is to be told of incidents does not answer, or not now; nothing is wrong with what was said."""

    def __init__(self, message: str, retry_after: float | None = None, *, heard: bool = True) -> None:
        """`retry_after` is in seconds, where the receiver has said it; `heard`: it may have taken it all the same."""
        super().__init__(message)
        self.retry_after, self.heard = retry_after, heard


class SinkRefused(DetectorError):
    """Who is to be told of an incident does not take this message, now or later; the message says why."""


class Unreadable(DetectorError):
    """What was to be profiled cannot be read; the message names it and the line, and holds no value of it."""


class IllegalTransition(DetectorError):
    """A breaker was asked for a move that its table does not allow: a bug of ours."""
