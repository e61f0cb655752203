"""How what Detector says leaves it: one form of message a file, and one receiver of alerts a file.

Adding a receiver is a file here and a name in `SINKS`.
"""

from detector.sinks.alertmanager import Alertmanager
from detector.sinks.pagerduty import PagerDuty
from detector.sinks.seam import Access, Action, Alert, Sink
from detector.sinks.webhook import Webhook

__all__ = ["SINKS", "Access", "Action", "Alert", "Alertmanager", "PagerDuty", "Sink", "Webhook"]

SINKS: dict[str, type[Sink]] = {sink.kind: sink for sink in (Alertmanager, PagerDuty, Webhook)}
