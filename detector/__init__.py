"""Streaming anomaly detection and circuit breakers for data pipelines, on Kafka."""

__version__ = "0.1.0"
