"""What may be told of an error that somebody else wrote: it may hold rows, keys, names and passwords.

Used where errors come in, and by the client before they go out, so that one error reads the same whoever tells it.
"""

import re
from pathlib import Path
from typing import Final

LONGEST_ERROR: Final = 200
# Not `str.isprintable`, which refuses blanks and soft hyphens that names of files really have.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_EXCEPTION = re.compile(
    r"[A-Za-z_$][\w$.]*(?:Error|Exception|Failure|Fault|Interrupt|Warning|Exit|Timeout)(?=[:\s(]|$)"
)
_DATA = (
    (re.compile(r"(?<=://)[^/\s@]*@"), ""),  # who logs in where
    (re.compile(r"(?<!\w)'.*?(?:'(?!\w)|$)"), "'?'"),
    (re.compile(r'"[^"]*(?:"|$)'), '"?"'),
    (re.compile(r"`[^`]*(?:`|$)"), "`?`"),
    (re.compile(r"[“«„][^”»“]*(?:[”»“]|$)"), '"?"'),
    (re.compile(r"=\s*(?:\([^)]*(?:\)|$)|\S+)"), "=?"),  # Key (email)=(...), password=...
    (re.compile(r"(?<!\S)\S*@\S*"), "?"),
    (re.compile(r"\b\w*?\d\w*"), "#"),
    (re.compile(r"#(?:[-+.,:/]+#)+"), "#"),  # a date, a version, a UUID: one thing
)


# What is neither quoted nor a number may be data, too: `Cannot parse value: Miller`. These are the words that errors of
# programs are made of, counted in those of a few hundred Python packages, with the names of tools of pipelines.
_WORDS: Final = frozenset(Path(__file__).with_name("error_words.txt").read_text(encoding="utf-8").split())
_WORD = re.compile(r"[^\W\d_][\w']*(?:[._$-]+\w+)*")
_BETWEEN = re.compile(r"[._$-]+|(?<=[a-z])(?=[A-Z])")  # the parts of a name, as in psycopg.errors.UniqueViolation
# What `detector.client` says to whoever may not go on: a run that ends with it did what it should.
_OURS = re.compile(r"\b(?:job|dataset):\S.* may not go on: ")
STOPPED: Final = "stopped by a breaker of Detector"
_UNKNOWN = re.compile(r"\?(?:[\s,;.:/|+-]*\?)+")


def first_line(error: str | None) -> str | None:
    """The first line of an error without the data in it, at most 200 characters; None for an empty one.

    The class of the exception stays. What is quoted, what stands after `=`, e-mail addresses, every word with a digit
    in it, and every word that errors are not made of go: rows, keys, names and passwords end up there. So two failures
    for one cause read the same, too.

    >>> first_line("psycopg.errors.UniqueViolationError: Key (email)=(a@b.c) of 'orders' exists 17 times\\nDETAIL")
    "psycopg.errors.UniqueViolationError: Key (email)=? of '?' exists # times"
    >>> first_line("Cannot parse value: Miller, Anna")
    'Cannot parse value: ?'
    """
    if error is None or not (text := error[:4000].strip()):
        return None
    text = " ".join(_UNPRINTABLE.sub(" ", text.splitlines()[0]).split())[:2000]
    if _OURS.search(text):
        return STOPPED
    exception = _EXCEPTION.match(text)
    start = exception.end() if exception else 0
    head, text = text[:start], text[start:]
    for pattern, instead in _DATA:
        text = pattern.sub(instead, text)
    text = _UNKNOWN.sub("?", _WORD.sub(_known, text))
    return (head + text)[:LONGEST_ERROR] or None


def _known(word: re.Match[str]) -> str:
    """A word that errors are made of, or the class of another exception; else a question mark."""
    text = word.group()
    parts = _BETWEEN.split(text)
    return text if all(part.lower() in _WORDS for part in parts if part) or _EXCEPTION.fullmatch(text) else "?"
