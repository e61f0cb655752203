"""Who may ask what: tokens and their roles, what is open, and how often one client may ask.

Without tokens only who is on the machine may read, and nobody may write: so that the first try works, and nothing is
open to a network by accident. There the name that the browser used must be a loopback one, too: else any page could
read the API by a name of its own that leads here.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final, Literal, NamedTuple

from detector.config import Http, Token
from detector.web.problems import Problem

Role = Literal["reader", "operator"]
Headers = Iterable[tuple[bytes, bytes]]
MOST_CLIENTS: Final = 10_000
HOW: Final = (
    "name who may in `http.tokens` of the configuration: {name: alice, role: operator, token_file: /run/secrets/alice}"
)
SCHEME: Final = 'Bearer realm="detector"'


class Who(NamedTuple):
    """Who asks. `name` is the token's, and empty for whoever is on the machine."""

    name: str
    role: Role


class Access:
    """The rules of one listener. `clock` gives monotonic seconds."""

    def __init__(self, http: Http, clock: Callable[[], float] = time.monotonic) -> None:
        """Tokens are kept as digests, which have one length: a comparison tells nothing of them."""
        self._known = [(digest(token), Who(token.name, token.role)) for token in http.tokens]
        self._local = is_loopback(http.host)
        self.limit = Limit(http.rate, clock)

    @property
    def is_shut(self) -> bool:
        """Whether nobody at all may ask: there are no tokens, and others than the machine's own people get here."""
        return not self._known and not self._local

    def refuse_shut(self) -> None:
        """Raise the `Problem` of a listener at which nobody may ask."""
        if self.is_shut:
            raise _unauthorized(f"This address is not a loopback one, and nobody has a token yet: {HOW}.", False)

    def who(self, headers: Headers) -> Who:
        """Who sent these headers. Raises a `Problem` for somebody who may not ask."""
        host, given = b"", b""
        for name, value in headers:
            if name == b"authorization":
                given = value
            elif name == b"host":
                host = value
        self.refuse_shut()
        if self._known:
            return self._bearer(given)
        if not _names_loopback(host):
            raise Problem(
                403, f"Without tokens only names of this machine are answered (localhost); to use others, {HOW}."
            )
        return Who("", "reader")

    def _bearer(self, given: bytes) -> Who:
        scheme, _, token = given.partition(b" ")
        if scheme.lower() != b"bearer":
            raise _unauthorized("Send `Authorization: Bearer TOKEN`, with a token of `http.tokens`.", False)
        asked, found = sha256(token.strip()).digest(), None
        for known, who in self._known:
            if compare_digest(known, asked):
                found = who
        if found is None:
            raise _unauthorized("This token is none of `http.tokens`.", True)
        return found

    def must_write(self, who: Who) -> None:
        """Raises a `Problem` unless this one may give commands."""
        if not self._known:
            raise Problem(403, f"Commands need a name, and nobody has a token yet: {HOW}.")
        if who.role != "operator":
            raise Problem(403, f"The token of {who.name} may read only: its role must be operator to give commands.")


class Limit:
    """So many requests a second of one client, and twice as many at once."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate, self._most, self._clock = rate, max(2 * rate, 1.0), clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count a request. Raises a `Problem` that says when to come again."""
        now = self._clock()
        left, at = self._left.pop(client, (self._most, now))
        left = min(left + (now - at) * self._rate, self._most)
        self._left[client] = (left - 1.0 if left >= 1.0 else left), now
        if len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
        if left < 1.0:
            wait = max(int((1.0 - left) / self._rate) + 1, 1)
            said = f"More than {self._rate:g} requests a second (`http.rate`); asking for breakers is not limited."
            raise Problem(429, said, headers={"Retry-After": str(wait)})


def digest(token: Token) -> bytes:
    """What is kept of a token."""
    assert token.token is not None  # the configuration is refused without
    return sha256(token.token.reveal().encode()).digest()


def is_loopback(host: str) -> bool:
    """Whether only the machine itself reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _names_loopback(host: bytes) -> bool:
    name = host.decode(errors="replace")
    name = name.partition("]")[0][1:] if name.startswith("[") else name.partition(":")[0]
    return is_loopback(name.lower()) or name.lower().endswith(".localhost")


def _unauthorized(detail: str, invalid: bool) -> Problem:
    error = ', error="invalid_token"' if invalid else ""
    return Problem(401, detail, headers={"WWW-Authenticate": SCHEME + error})
