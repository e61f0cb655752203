"""What the types of `alerts` cannot say: which keys each kind of receiver needs, and which are of another kind."""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from detector.config.schema import AlertSink, Config

LOGIN: Final = ("username", "password", "token")
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "alertmanager": ("urls", "labels", "resend", *LOGIN),
    "pagerduty": ("url", "routing_key"),
    "webhook": ("url", "secret", "mode", *LOGIN),
}
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "alertmanager": ("urls",),
    "pagerduty": ("routing_key",),
    "webhook": ("url", "secret"),
}
LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
OURS: Final = frozenset({"alertname", "incident", "severity", "entity", "check", "team", "tags"})
LONGEST_RESEND: Final = 150.0
SHORTEST, LONGEST = 24, 64  # bytes of a secret, as Standard Webhooks has them
MAKE: Final = "make one: printf 'whsec_%s' \"$(openssl rand -base64 32)\" > FILE"
PLACES: Final = ("entity", "check", "owner")


def problems(config: Config) -> Iterator[str]:
    """What is wrong with the receivers, each with its path."""
    seen: dict[str, int] = {}
    for at, sink in enumerate(config.alerts):
        name = sink.name or sink.kind
        if name in seen:
            yield f"alerts[{at}].name: alerts[{seen[name]}] is called {name} already; give each a name"
        seen[name] = at
        yield from _sink(sink, f"alerts[{at}]")
    if config.http.status_url is not None:
        yield from _address(config.http.status_url, "http.status_url")


def _sink(sink: AlertSink, path: str) -> Iterator[str]:
    for field in msgspec.structs.fields(AlertSink):
        given = getattr(sink, field.name)
        of = [kind for kind, keys in KEYS.items() if field.name in keys]
        if of and sink.kind not in of and given != field.default and given:
            yield f"{path}.{field.name}: is of kind {' and '.join(of)}, and this is {sink.kind}"
    for key in NEEDED[sink.kind]:
        if not getattr(sink, key):
            yield f"{path}.{key}: is needed with kind {sink.kind}"
    if sink.token is not None and (sink.username is not None or sink.password is not None):
        yield f"{path}.token: is given, and a username or a password, too; only one of them can be"
    for at, url in enumerate(sink.urls):
        yield from _address(url, f"{path}.urls[{at}]")
    if sink.url is not None:
        yield from _address(sink.url.reveal(), f"{path}.url")
    yield from _details(sink, path)


def _details(sink: AlertSink, path: str) -> Iterator[str]:
    for name in sink.labels:
        if not LABEL.fullmatch(name):
            yield f"{path}.labels.{name}: a label is made of letters, digits and underscores"
        elif name in OURS:
            yield f"{path}.labels.{name}: Detector sets this label itself"
    if sink.resend > LONGEST_RESEND:
        yield f"{path}.resend: must not be more than 150s: Alertmanager forgets what is not told again (5 minutes)"
    if sink.secret is not None and not _is_secret(sink.secret.reveal()):
        yield f"{path}.secret: is no secret of Standard Webhooks; {MAKE}"
    if sink.runbook_url is not None:
        yield from _address(sink.runbook_url, f"{path}.runbook_url")
        for place in re.findall(r"\{([^}]*)\}", sink.runbook_url):
            if place not in PLACES:
                yield f"{path}.runbook_url: nothing is filled in for {{{place}}}; known: {', '.join(PLACES)}"


def _address(url: str, path: str) -> Iterator[str]:
    """Nothing of the address is said: there may be a token in it."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        yield f"{path}: is no address"
        return
    if parts.scheme not in ("http", "https") or not host:
        yield f"{path}: must begin with http:// or https://, and name a host"
    elif "@" in parts.netloc:
        yield f"{path}: put the name and the password into keys of their own (username, password_file), not here"


def _is_secret(text: str) -> bool:
    try:
        size = len(b64decode(text.removeprefix("whsec_"), validate=True))
    except ValueError:
        return False
    return text.startswith("whsec_") and SHORTEST <= size <= LONGEST
