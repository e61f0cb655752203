"""An outdoor shop that does not exist, its pipelines, and what their runs look like when nothing is wrong.

Everything is a function of the seed and of a stretch of time: the same seed tells the same story on every machine. The
numbers wander as real ones do: with the hour of the day and the weekend where customers are behind them, hardly at all
where a table is written anew each time.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

from detector.core.events import Dataset, RunEvent, RunState, dataset_key, job_key

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
EVERY_DAY = frozenset(range(7))
WORKDAYS = frozenset(range(5))

_SHOP, _LAKE, _DWH = "postgres://shop-db:5432", "s3://acorn-lake", "snowflake://acorn-eu"

DATASETS: dict[str, tuple[str, str]] = {
    "shop.orders": (_SHOP, "shop.public.orders"),
    "shop.order_items": (_SHOP, "shop.public.order_items"),
    "wms.stock": ("postgres://wms-db:5432", "wms.public.stock"),
    "web.clicks": ("kafka://clicks:9092", "web.clicks"),
    "stripe.charges": ("https://api.stripe.com", "v1/charges"),
    "crm.account": ("salesforce://acorn", "Account"),
    "ads.spend": ("https://googleads.googleapis.com", "spend_by_campaign"),
    "raw.orders": (_LAKE, "raw/orders"),
    "raw.order_items": (_LAKE, "raw/order_items"),
    "raw.payments": (_LAKE, "raw/payments"),
    "raw.clicks": (_LAKE, "raw/clicks"),
    "raw.stock": (_LAKE, "raw/stock"),
    "raw.customers": (_LAKE, "raw/customers"),
    "raw.ad_spend": (_LAKE, "raw/ad_spend"),
    "stg.orders": (_DWH, "DWH.STAGING.ORDERS"),
    "stg.order_items": (_DWH, "DWH.STAGING.ORDER_ITEMS"),
    "stg.payments": (_DWH, "DWH.STAGING.PAYMENTS"),
    "stg.sessions": (_DWH, "DWH.STAGING.SESSIONS"),
    "stg.stock_levels": (_DWH, "DWH.STAGING.STOCK_LEVELS"),
    "fct_orders": (_DWH, "DWH.MARTS.FCT_ORDERS"),
    "fct_sessions": (_DWH, "DWH.MARTS.FCT_SESSIONS"),
    "stock_alerts": (_DWH, "DWH.MARTS.STOCK_ALERTS"),
    "dim_customers": (_DWH, "DWH.MARTS.DIM_CUSTOMERS"),
    "attribution": (_DWH, "DWH.MARTS.MARKETING_ATTRIBUTION"),
    "daily_revenue": (_DWH, "DWH.MARTS.DAILY_REVENUE"),
    "demand_forecast": (_DWH, "DWH.ML.DEMAND_FORECAST"),
    "churn_scores": (_DWH, "DWH.ML.CHURN_SCORES"),
    "live_sales": ("looker://acorn", "dashboards/live_sales"),
    "board_report": ("looker://acorn", "dashboards/board_report"),
    "stock_wall": ("looker://acorn", "dashboards/warehouse_wall"),
}


@dataclass(frozen=True, slots=True)
class Output:
    """A dataset that a job writes: its usual rows per load, and how far they swing with customers (0: not at all)."""

    dataset: str
    rows: float
    swing: float = 0.0


@dataclass(frozen=True, slots=True)
class Job:
    """A pipeline: what it reads and writes, when it is due (`hour` None: every hour), how long it takes in seconds."""

    namespace: str
    name: str
    reads: tuple[str, ...]
    writes: tuple[Output, ...]
    minute: int
    seconds: float
    hour: int | None = None
    days: frozenset[int] = EVERY_DAY

    @property
    def key(self) -> str:
        """The entity that this job is."""
        return job_key(self.namespace, self.name)

    @property
    def period(self) -> float:
        """Seconds from one run to the next."""
        return HOUR if self.hour is None else DAY

    def slots(self, begin: float, end: float) -> Iterator[float]:
        """The moments in [begin, end) at which a run is due."""
        offset = self.minute * MINUTE + (self.hour or 0) * HOUR
        slot = math.ceil((begin - offset) / self.period) * self.period + offset
        while slot < end:
            if weekday(slot) in self.days:
                yield slot
            slot += self.period

    def next_slot(self, at: float) -> float:
        """The first moment from `at` on at which a run is due."""
        return next(self.slots(at, at + 8 * DAY))

    def last_slot(self, at: float) -> float | None:
        """The last moment up to `at` at which a run was due; None if there was none for a week."""
        return max(self.slots(at - 7 * DAY, at + 1e-3), default=None)


def _hourly(name: str, minute: int, seconds: float, reads: str, *writes: Output) -> Job:
    namespace, _, name = name.partition("/")
    return Job(namespace, name, tuple(reads.split()), writes, minute, seconds)


def _daily(at: str, name: str, seconds: float, reads: str, *writes: Output, days: frozenset[int] = EVERY_DAY) -> Job:
    namespace, _, name = name.partition("/")
    hour, minute = (int(part) for part in at.split(":"))
    return Job(namespace, name, tuple(reads.split()), writes, minute, seconds, hour, days)


JOBS: tuple[Job, ...] = (
    _hourly(
        "airflow/ingest_orders.load",
        5,
        240,
        "shop.orders shop.order_items",
        Output("raw.orders", 5_200, 0.2),
        Output("raw.order_items", 14_100, 0.2),
    ),
    _hourly("airflow/ingest_payments.load", 5, 200, "stripe.charges", Output("raw.payments", 5_400, 0.2)),
    _hourly("airflow/ingest_clicks.load", 3, 300, "web.clicks", Output("raw.clicks", 880_000, 0.22)),
    _hourly("airflow/ingest_stock.load", 8, 150, "wms.stock", Output("raw.stock", 61_300)),
    _hourly(
        "spark/stage_orders",
        20,
        380,
        "raw.orders raw.order_items",
        Output("stg.orders", 5_150, 0.2),
        Output("stg.order_items", 14_000, 0.2),
    ),
    _hourly("spark/stage_payments", 20, 310, "raw.payments", Output("stg.payments", 5_350, 0.2)),
    _hourly("spark/sessionize_clicks", 19, 460, "raw.clicks", Output("stg.sessions", 46_000, 0.22)),
    _hourly("spark/stage_stock", 22, 260, "raw.stock", Output("stg.stock_levels", 61_200)),
    _hourly("dbt/fct_orders", 38, 290, "stg.orders stg.order_items stg.payments", Output("fct_orders", 5_100, 0.2)),
    _hourly("dbt/fct_sessions", 38, 330, "stg.sessions", Output("fct_sessions", 45_800, 0.22)),
    _hourly("dbt/stock_alerts", 54, 180, "stg.stock_levels fct_orders", Output("stock_alerts", 1_900)),
    _hourly("airflow/live_sales.refresh", 55, 120, "fct_orders fct_sessions", Output("live_sales", 240)),
    _hourly("airflow/warehouse_wall.refresh", 40, 90, "stg.stock_levels", Output("stock_wall", 310)),
    _daily("01:10", "airflow/ingest_crm.load", 900, "crm.account", Output("raw.customers", 412_000)),
    _daily("01:15", "airflow/ingest_ad_spend.load", 420, "ads.spend", Output("raw.ad_spend", 3_100)),
    _daily("02:00", "dbt/dim_customers", 760, "raw.customers stg.orders", Output("dim_customers", 411_500)),
    _daily(
        "02:30",
        "dbt/marketing_attribution",
        1_100,
        "raw.ad_spend fct_sessions fct_orders",
        Output("attribution", 92_000, 0.1),
    ),
    _daily("03:15", "dbt/daily_revenue", 540, "fct_orders stg.payments", Output("daily_revenue", 1_240, 0.1)),
    _daily(
        "04:00", "spark/train_demand_forecast", 2_300, "fct_orders stg.stock_levels", Output("demand_forecast", 61_000)
    ),
    _daily("04:30", "spark/score_churn", 1_500, "dim_customers fct_sessions", Output("churn_scores", 411_000)),
    _daily(
        "06:00",
        "airflow/board_report.refresh",
        200,
        "daily_revenue attribution",
        Output("board_report", 48),
        days=WORKDAYS,
    ),
)
WRITER: dict[str, Job] = {output.dataset: job for job in JOBS for output in job.writes}
BY_KEY: dict[str, Job] = {job.key: job for job in JOBS}


@dataclass(frozen=True, slots=True)
class Planned:
    """One run as it goes when nothing is wrong with it.

    `rows` maps each dataset that it writes to the rows of this load, `factor` is what bad input makes of them.
    """

    job: Job
    slot: float
    run_id: str
    start: float
    end: float
    rows: dict[str, float]
    factor: float = 1.0


def entity_of(dataset: str) -> str:
    """The entity that a dataset of the company is."""
    return dataset_key(*DATASETS[dataset])


def weekday(at: float) -> int:
    """0 for Monday."""
    return (int(at // DAY) + 3) % 7


def plan(seed: int, job: Job, slot: float, attempt: int = 1) -> Planned:
    """The run that is due at `slot`; a second attempt is another run."""
    name = f"{seed}/{job.key}/{slot:.0f}/{attempt}"
    random = Random(name)
    start = slot + 2 + min(random.expovariate(1 / 12), 75)
    seconds = job.seconds * math.exp(random.gauss(0, 0.045))
    rows = {out.dataset: out.rows * _season(out, job, slot) * math.exp(random.gauss(0, 0.03)) for out in job.writes}
    run_id = str(uuid5(NAMESPACE_URL, f"acorn/{name}"))
    return Planned(job, slot, run_id, start, start + seconds, rows)


def _season(output: Output, job: Job, slot: float) -> float:
    """Customers buy by day and on workdays; a daily load only knows the second."""
    weekend = -0.8 * output.swing if weekday(slot) >= 5 else 0.0
    by_hour = math.sin(2 * math.pi * (slot % DAY / HOUR - 9) / 24) if job.hour is None else 0.0
    return math.exp(output.swing * by_hour + weekend)


def started(run: Planned, at: float) -> RunEvent:
    """The event that says that a run began."""
    return RunEvent(
        run.job.namespace,
        run.job.name,
        run.run_id,
        "START",
        at,
        nominal_time=run.slot,
        inputs=tuple(Dataset(*DATASETS[name]) for name in run.job.reads),
    )


def completed(run: Planned, at: float, factor: float = 1.0) -> RunEvent:
    """The event that says that a run is over and wrote `factor` times its planned rows."""
    event = _over(run, "COMPLETE", at)
    event.outputs = tuple(
        Dataset(*DATASETS[name], rows=float(round(rows * run.factor * factor)), version=version(run))
        for name, rows in run.rows.items()
    )
    return event


def failed(run: Planned, state: Literal["FAIL", "ABORT"], at: float, error: str) -> RunEvent:
    """The event that says that a run came to a bad end and wrote nothing."""
    event = _over(run, state, at)
    event.error = error
    return event


def _over(run: Planned, state: RunState, at: float) -> RunEvent:
    event = started(run, at)
    event.state = state
    return event


def version(run: Planned) -> str:
    """What the warehouse calls the load that a run wrote."""
    return f"v{run.slot / MINUTE:.0f}"


def history(seed: int, begin: float, end: float, jobs: tuple[Job, ...] = JOBS) -> list[RunEvent]:
    """All events of runs that are due in [begin, end) and go well, in the order of their times."""
    events = []
    for job in jobs:
        for slot in job.slots(begin, end):
            run = plan(seed, job, slot)
            events += [started(run, run.start), completed(run, run.end)]
    return sorted(events, key=lambda event: event.event_time)


@cache
def readers(dataset: str) -> tuple[Job, ...]:
    """The jobs that read a dataset."""
    return tuple(job for job in JOBS if dataset in job.reads)


@cache
def downstream(job: Job) -> frozenset[str]:
    """The entities that what a job writes may reach: its outputs, their readers, and so on."""
    reached: set[str] = set()
    todo = [job]
    while todo:
        for output in todo.pop().writes:
            reached.add(entity_of(output.dataset))
            todo += [reader for reader in readers(output.dataset) if reader.key not in reached]
            reached |= {reader.key for reader in readers(output.dataset)}
    return frozenset(reached)
