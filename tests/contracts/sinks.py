"""What every receiver of alerts must keep to, as checks that a new one gets for nothing."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from detector.errors import SinkBusy, SinkRefused
from detector.sinks import Alert, Sink
from tests.services.receiver import ReceiverServer, Reply

NOW = 1_700_000_000.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAA"
KEY = "0123456789abcdef0123456789abcdef"
PATH = "hook-token-AAAA1111"
Make = Callable[[str], Sink]


def alert(action: str = "trigger", incident: str = "i1", **other: Any) -> Alert:
    """What is told of an incident."""
    given = {
        "id": f"{incident}-{action}",
        "at": NOW - 60,
        "began": NOW - 120,
        "severity": "critical",
        "entity": "job:shop/load",
        "check": "rows_out",
        "owner": "team-orders",
        "tags": ["finance"],
        "title": "job:shop/load: rows out: 12 rows",
        "text": "job:shop/load: rows out: 12 rows. Since then.",
        "sections": {"What to do": "1. Look at it."},
        "link": f"https://detector.example.com/#/incidents/{incident}",
        "runbook": "https://wiki.example.com/rows_out",
    }
    return Alert(incident=incident, action=action, **{**given, **other})  # type: ignore[arg-type]


def told(sink: Sink, *alerts: Alert, now: float = NOW) -> int:
    for one in alerts:
        sink.add(one)
    return sink.flush(now)


def check_what_is_added_is_told_with_the_next_flush(make: Make) -> None:
    with ReceiverServer() as server, closing(make(server.url)) as sink:
        sink.add(alert())
        before = len(server.requests)
        count = sink.flush(NOW)

        assert (before, count, len(server.requests)) == (0, 1, 1)
        assert b"job:shop/load" in server.requests[0].body


def check_what_waits_is_told_once(make: Make) -> None:
    with ReceiverServer() as server, closing(make(server.url)) as sink:
        told(sink, alert())
        again = sink.flush(NOW + 1)

        assert (again, len(server.requests)) == (0, 1)


def check_it_says_that_it_is_over(make: Make) -> None:
    with ReceiverServer() as server, closing(make(server.url)) as sink:
        told(sink, alert())
        told(sink, alert("resolve"), now=NOW + 1)

        assert len(server.requests) == 2
        assert b"i1" in server.requests[1].body


def check_nobody_there_is_busy_and_was_not_heard(make: Make) -> None:
    server = ReceiverServer()
    with closing(make(server.url)) as sink, pytest.raises(SinkBusy) as caught:
        told(sink, alert())

    assert not caught.value.heard
    assert "127.0.0.1" in str(caught.value)


def check_a_lost_answer_may_have_been_heard(make: Make) -> None:
    with (
        ReceiverServer(Reply(cut=True)) as server,
        closing(make(server.url)) as sink,
        pytest.raises(SinkBusy) as caught,
    ):
        told(sink, alert())

    assert caught.value.heard


def check_busy_is_busy_for_as_long_as_is_said(make: Make) -> None:
    with ReceiverServer() as server, closing(make(server.url)) as sink:
        waits = []
        for reply in (
            Reply(429, headers={"Retry-After": "7"}),
            Reply(503, headers={"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT"}),
            Reply(500, headers={"Retry-After": "soon"}),
            Reply(429, headers={"Retry-After": "86400"}),
        ):
            server.replies = [reply]
            with pytest.raises(SinkBusy) as caught:
                told(sink, alert())
            waits.append((caught.value.retry_after, caught.value.heard))

    assert waits == [(7.0, False), (30.0, True), (None, True), (300.0, False)]


def check_what_is_added_again_after_a_failure_is_told(make: Make) -> None:
    with ReceiverServer() as server, closing(make(server.url)) as sink:
        server.replies = [Reply(503)]
        with pytest.raises(SinkBusy):
            told(sink, alert())
        told(sink, alert(), now=NOW + 1)

        assert len(server.requests) == 2
        assert sink.flush(NOW + 2) == 0


def check_what_is_dropped_is_not_told(make: Make) -> None:
    with ReceiverServer() as server, closing(make(server.url)) as sink:
        sink.add(alert())
        sink.drop("i1")
        sink.drop("never-there")

        assert (sink.flush(NOW), server.requests) == (0, [])


def check_400_is_refused_and_holds_up_nothing(make: Make) -> None:
    with ReceiverServer() as server, closing(make(server.url)) as sink:
        server.replies = [Reply(400, b'{"message": "Event object is invalid"}')]
        with pytest.raises(SinkRefused, match="Event object is invalid"):
            told(sink, alert())
        sink.drop("i1")
        told(sink, alert(incident="i2"))

        assert b"i2" in server.requests[1].body


def check_it_goes_nowhere_else(make: Make) -> None:
    with ReceiverServer() as other, ReceiverServer() as server, closing(make(server.url)) as sink:
        server.replies = [Reply(307, headers={"Location": other.url})]
        with pytest.raises(SinkBusy):
            told(sink, alert())

        assert other.requests == []


def check_no_error_holds_a_secret(make: Make) -> None:
    echo = f"who is {KEY}, {SECRET}, {SECRET.removeprefix('whsec_')}, {PATH}, hunter22, tok-3333?\x1b[31m".encode()
    said: list[str] = []
    with ReceiverServer() as server, closing(make(server.url)) as sink:
        for status in (400, 401, 404, 500):
            server.replies = [Reply(status, echo)]
            with pytest.raises((SinkBusy, SinkRefused)) as caught:
                told(sink, alert())
            said.append(str(caught.value))
    with closing(make(server.url)) as sink, pytest.raises(SinkBusy) as caught:
        told(sink, alert())
    said.append(str(caught.value))

    words = ["\x1b", *({KEY, SECRET, PATH, "hunter22", "tok-3333"} & secrets_of(make))]
    assert [text for text in said if any(word in text for word in words)] == []
    assert not any(word in repr(vars(sink)) for word in words if word in ("hunter22", "tok-3333"))


def secrets_of(make: Make) -> set[str]:
    """Which of the secrets this one has: another's is no secret to it."""
    return set(getattr(make, "secrets", ()))


def check_a_long_answer_is_not_read_to_its_end(make: Make) -> None:
    with ReceiverServer() as server, closing(make(server.url)) as sink:
        server.replies = [Reply(500, b"x" * (4 << 20))]
        with pytest.raises(SinkBusy) as caught:
            told(sink, alert())

    assert len(str(caught.value)) < 400


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
