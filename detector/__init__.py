"""Streaming anomaly detection and circuit breakers for data pipelines, on Kafka."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detector.profiling import profile

__version__ = "0.1.0"
__all__ = ["__version__", "profile"]


def __getattr__(name: str) -> Any:
    """What is heavy is imported when it is asked for."""
    if name == "profile":
        from detector.profiling import profile

        return profile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
