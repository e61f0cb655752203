"""Policies: when a breaker trips. Adding one is a file here and a name in `POLICIES`."""

from detector.core.policies.window import Window

POLICIES: dict[str, type[Window]] = {policy.kind: policy for policy in (Window,)}
