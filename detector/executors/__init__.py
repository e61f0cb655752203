"""Executors: who redoes the runs of a recovery plan. Adding one is a file here and a name in `EXECUTORS`."""

from detector.executors.airflow import Airflow
from detector.executors.seam import Access, Executor, Requested, Status

__all__ = ["EXECUTORS", "Access", "Airflow", "Executor", "Requested", "Status"]

EXECUTORS: dict[str, type[Airflow]] = {executor.kind: executor for executor in (Airflow,)}
