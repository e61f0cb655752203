"""May this pipeline go on? The one question that is asked before each run, so it is answered before Litestar is asked.

    GET /v1/breakers/{entity}?probe=&partition=&column=

From memory, whatever is away: the verdict is `unknown`, with a reason, when that cannot be relied on.
"""

from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from detector.view import ANYBODY, Asked
from detector.web.facts import Facts
from detector.web.problems import Fault, Problem

PREFIX: Final = b"/v1/breakers/"
TEMPLATE: Final = "/v1/breakers/{entity}"
LONGEST: Final = 2_200
_encode = msgspec.json.Encoder().encode


def key_of(raw: bytes) -> str:
    """The entity that the rest of a path names, percent-encoded or not."""
    return (unquote_to_bytes(raw) if b"%" in raw else raw).decode(errors="replace")


def answer(facts: Facts, raw_path: bytes, query: bytes) -> bytes:
    """The body of the answer. Raises a `Problem` for parameters that there are not."""
    return _encode(facts.answer(key_of(raw_path[len(PREFIX) :]), asked(query) if query else ANYBODY))


def asked(query: bytes) -> Asked:
    """Who asks, and what is read. Raises a `Problem`."""
    probe: str | None = None
    read: dict[str, list[str]] = {"partition": [], "column": []}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name in read:
            read[name].append(value)
        elif name == "probe" and probe is None:
            probe = value
        else:
            why = "is given twice" if name == "probe" else "unknown parameter; known: probe, partition, column"
            raise Problem(422, f"The parameters cannot be used: {name}: {why}", errors=[Fault(where=name, message=why)])
    return Asked(probe=probe or None, partitions=tuple(read["partition"]), columns=tuple(read["column"]))
