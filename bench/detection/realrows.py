"""realrows: real rows, injected faults. The flights that left New York in 2013 (336,776 rows), one dataset per origin and carrier, one load
a day; faults are injected into the ROWS, so that every metric moves as a real fault moves it. Real seasons, holidays, storms, timetables.

    python -m bench.detection.realrows FLIGHTS_CSV_OR_ZIP [--seed 1] [--detectors zscore30,module:factory,...] [--events DIR] [--json]

The file is the flights table of the public data set "nycflights13", as CSV, zipped or not. Needs pandas.

Detectors and scoring are pipebench's, and so is the definition of every figure. Not charged, for anyone (neither true nor false): days on
which over 6 % of all flights were cancelled (42 days: real anomalies that nobody injected), holidays, and metrics that a fault may move
beside those it must move. Timetable changes (a carrier changes routes and seats) are real and unlabelled: an alert on one is charged, so
absolute false-alarm figures have a floor; compare side by side.
--events writes the same year as OpenLineage events (START, COMPLETE with statistics, quality metrics, schema), labels.json, and loads.json
(when the first load was, how far apart and how many they are, and which are not charged), for a run of the whole program: see `whole`.
"""

import argparse
import importlib
import json
import math
import pickle
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from bench.detection import pipebench as pb

# class: (loads it lasts, metrics it must move, metrics it may move)
ALL = {"rows", "null_rate", "mean_delay", "mean_air_time", "mean_distance", "distinct_dest", "top_share"}
FAULTS = {
    "drop": (1, {"rows"}, ALL),  # 8 % of the rows arrived
    "partial_load": (2, {"rows"}, {"distinct_dest"}),  # 55 %
    "duplicate_load": (1, {"rows"}, set()),
    "null_jump": (3, {"null_rate"}, {"mean_delay", "mean_air_time"}),  # 35 % more nulls
    "unit": (2, {"mean_air_time"}, set()),  # minutes become hours
    "stuck": (4, {"rows", "mean_delay", "mean_distance", "mean_air_time"}, ALL),  # the day before again, four times
    "leak": (25, {"rows"}, {"distinct_dest"}),  # 2 % more rows lost with every load
    "lost_category": (3, {"distinct_dest"}, ALL),  # the most frequent destination missing
}
pb.K.update(unit=2, lost_category=2)
HOLIDAYS = {
    "01-01",
    "01-21",
    "02-18",
    "05-25",
    "05-26",
    "05-27",
    "07-03",
    "07-04",
    "07-05",
    "08-31",
    "09-01",
    "09-02",
    "11-27",
    "11-28",
    "11-29",
    "11-30",
    "12-01",
    "12-24",
    "12-25",
    "12-26",
    "12-31",
}
TYPES = {
    "dep_time": "BIGINT",
    "dep_delay": "DOUBLE",
    "air_time": "DOUBLE",
    "distance": "BIGINT",
    "dest": "VARCHAR",
    "tailnum": "VARCHAR",
}


def load(path):
    """-> {dataset: [rows of load 0, 1, ...]}, loads not charged (bool per load), start, step in seconds"""
    f = pd.read_csv(path, usecols=["year", "month", "day", "origin", "carrier", *TYPES])
    f["load"] = pd.to_datetime(f[["year", "month", "day"]]).dt.day_of_year - 1
    f["air_time"] = f["air_time"].astype(float)
    storm = f.groupby("load").dep_time.apply(lambda s: s.isna().mean()) > 0.06
    start = datetime(2013, 1, 1, 4, tzinfo=UTC)
    skip = np.array([bool(storm[i]) or (start + timedelta(days=i)).strftime("%m-%d") in HOLIDAYS for i in range(365)])
    sets = {}
    for (origin, carrier), rows in f.groupby(["origin", "carrier"]):
        by = dict(tuple(rows.groupby("load")))
        if len(by) == 365 and sum(len(x) >= 8 for x in by.values()) >= 330:
            sets[f"{origin}.{carrier}"] = [by[i] for i in range(365)]
    return sets, skip, start, pb.DAY


def load_hourly(path):
    """The same, a load an hour, 24 of them a day, from 21 January on for 110 days; also of all carriers of an origin"""
    first, days = 20, 110
    f = pd.read_csv(path, usecols=["year", "month", "day", "hour", "origin", "carrier", *TYPES])
    f["air_time"] = f["air_time"].astype(float)
    day = pd.to_datetime(f[["year", "month", "day"]]).dt.day_of_year - 1
    f["load"] = 24 * (day - first) + f.hour
    storm = f.groupby(day).dep_time.apply(lambda s: s.isna().mean()) > 0.06
    start = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=first)
    dates = [(start + timedelta(days=i)).strftime("%m-%d") for i in range(days)]
    skip = np.repeat([bool(storm[first + i]) or dates[i] in HOLIDAYS for i in range(days)], 24)
    sets, nothing = {}, f.iloc[:0]
    groups = [(f"{origin}.{carrier}", rows) for (origin, carrier), rows in f.groupby(["origin", "carrier"])]
    groups += [(f"{origin}.all", rows) for origin, rows in f.groupby("origin")]
    for name, rows in groups:
        by = dict(tuple(rows.groupby("load")))
        loads = [by.get(i, nothing) for i in range(24 * days)]
        if sum(len(x) >= 8 for x in loads) >= 5 * days:
            sets[name] = loads
    return sets, skip, start, 3_600.0


def plan(rng, sizes, period):
    """faults of one dataset as (class, first load, last load), begun in loads of 8 rows or more; a fifth of the datasets stay healthy"""
    out, i = [], pb.WARM + int(period * rng.integers(3, 7))
    if rng.random() < 0.2:
        return out
    while i < len(sizes) - 35:
        if sizes[i] < 8:
            i += 1
            continue
        c = str(rng.choice(list(FAULTS)))
        if c == "leak" and i > len(sizes) - 65:
            c = "drop"
        out.append((c, i, i + FAULTS[c][0] - 1))
        i += FAULTS[c][0] + int(rng.integers(25, 55))
    return out


def inject(rng, loads, faults, period):
    loads = list(loads)
    sample = lambda x, share: x.sample(frac=share, random_state=int(rng.integers(1 << 30)))
    for c, a, b in faults:
        top = pd.concat(loads[max(0, a - period) : a]).dest.value_counts().index[0]
        before = loads[a - 1]
        for i in range(a, b + 1):
            x = loads[i].copy()
            if c == "drop":
                x = sample(x, 0.08)
            elif c == "partial_load":
                x = sample(x, 0.55)
            elif c == "duplicate_load":
                x = pd.concat([x, x])
            elif c == "null_jump":
                x.loc[rng.random(len(x)) < 0.35, [n for n in ("dep_time", "dep_delay", "air_time") if n in x]] = np.nan
            elif c == "unit":
                x["air_time"] /= 60
            elif c == "stuck":
                x = before.copy()
            elif c == "leak":
                x = x[rng.random(len(x)) >= min(0.5, 0.02 * (i - a + 1))]
            elif c == "lost_category" and (x.dest != top).any():
                x = x[x.dest != top]
            loads[i] = x
    return loads


def metrics(x):
    if not len(x):
        return dict.fromkeys(ALL, math.nan) | {"rows": 0}
    return {
        "rows": len(x),
        "null_rate": x.dep_delay.isna().mean(),
        "mean_delay": x.dep_delay.mean(),
        "mean_air_time": x.air_time.mean(),
        "mean_distance": x.distance.mean(),
        "distinct_dest": x.dest.nunique(),
        "top_share": x.dest.value_counts(normalize=True).iloc[0],
    }


def build(sets, skip, start, step, seed):
    """faulty datasets, their series for pipebench's scorer, and the labels"""
    faulty, out, labels = {}, [], {}
    for k, (name, loads) in enumerate(sorted(sets.items())):
        rng = np.random.default_rng([seed, k])
        n, period = len(loads), 7 if step == pb.DAY else 24
        labels[name] = faults = plan(rng, [len(x) for x in loads], period)
        faulty[name] = loads = inject(rng, loads, faults, period)
        ts = start.timestamp() + step * np.arange(n) + rng.normal(0, 120 if step == pb.DAY else 5, n)
        table = [metrics(x) for x in loads]
        for m in sorted(ALL):
            free = skip.copy()
            for c, a, b in faults:
                if m in FAULTS[c][2] - FAULTS[c][1]:
                    free[a : b + 6] = True
            y = np.array([r[m] for r in table], float)
            seen = np.flatnonzero(~np.isnan(y))  # an empty load has rows = 0 and no other statistic
            at = np.searchsorted(seen, np.arange(n + 1))
            hits = [(c, at[a], at[b + 1] - 1) for c, a, b in faults if m in FAULTS[c][1] and at[b + 1] > at[a]]
            out.append(
                pb.Series(
                    f"{name}.{m}_{'d' if step == pb.DAY else 'h'}_{n}", m, ts[seen], y[seen], hits, [], free[seen]
                )
            )
    return faulty, out, labels


def write_events(faulty, labels, start, folder, skip=()):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    producer, spec = "https://example.org/flights", "https://openlineage.io/spec/"
    facet = lambda name, **kw: {"_producer": producer, "_schemaURL": f"{spec}facets/{name}.json", **kw}
    schema = facet("1-1-1/SchemaDatasetFacet", fields=[{"name": c, "type": t} for c, t in TYPES.items()])
    with (folder / "events.jsonl").open("w") as out:
        for i in range(len(next(iter(faulty.values())))):
            for k, (name, loads) in enumerate(sorted(faulty.items())):
                x, t = loads[i], start + timedelta(days=i, minutes=k)
                columns = {}
                for c, kind in TYPES.items():
                    v = x[c].dropna()
                    columns[c] = {
                        "nullCount": int(x[c].isna().sum()),
                        "distinctCount": int(v.nunique()),
                        "count": len(x),
                    }
                    if kind != "VARCHAR" and len(v):
                        columns[c] |= {
                            "min": float(v.min()),
                            "max": float(v.max()),
                            "sum": float(v.sum()),
                            "quantiles": {
                                q: float(v.quantile(float(q))) for q in ("0.05", "0.25", "0.5", "0.75", "0.95")
                            },
                        }
                nominal = facet("1-0-1/NominalTimeRunFacet", nominalStartTime=t.replace(minute=0).isoformat())
                base = {
                    "producer": producer,
                    "schemaURL": spec + "2-0-2/OpenLineage.json#/$defs/RunEvent",
                    "inputs": [],
                    "run": {
                        "runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/{i}")),
                        "facets": {"nominalTime": nominal},
                    },
                    "job": {
                        "namespace": "flights",
                        "name": f"load.{name}",
                        "facets": {
                            "jobType": facet(
                                "2-0-3/JobTypeJobFacet", processingType="BATCH", integration="CUSTOM", jobType="TASK"
                            )
                        },
                    },
                }
                output = {
                    "namespace": "flights",
                    "name": f"wh.{name}",
                    "facets": {"schema": schema},
                    "outputFacets": {
                        "outputStatistics": facet(
                            "1-0-2/OutputStatisticsOutputDatasetFacet", rowCount=len(x), size=96 * len(x)
                        ),
                        "dataQualityMetrics": facet(
                            "1-0-2/DataQualityMetricsInputDatasetFacet", rowCount=len(x), columnMetrics=columns
                        ),
                    },
                }
                end = t + timedelta(seconds=20 + len(x) / 4)
                out.write(json.dumps({"eventType": "START", "eventTime": t.isoformat(), "outputs": [], **base}) + "\n")
                out.write(
                    json.dumps({"eventType": "COMPLETE", "eventTime": end.isoformat(), "outputs": [output], **base})
                    + "\n"
                )
    (folder / "labels.json").write_text(json.dumps(labels))
    loads = {
        "start": start.timestamp(),
        "step": pb.DAY,
        "count": len(next(iter(faulty.values()))),
        "not_charged": [int(i) for i in np.flatnonzero(skip)],
    }
    (folder / "loads.json").write_text(json.dumps(loads))


def detectors(names):
    known = {
        "zscore30": lambda: pb.Window(30),
        "zscore14": lambda: pb.Window(14),
        "sameslot": pb.SameSlot,
        "deequ": pb.DeequHW,
        "hw6": lambda: pb.DeequHW(6.0),
        "online": pb.OnlineNormal,
    }
    if any(n.startswith("river") for n in names):
        known |= pb.river_detectors()
    for n in names:
        yield n, known[n] if n in known else getattr(importlib.import_module(n.split(":")[0]), n.split(":")[1])


def report(series, names, as_json):
    result = {}
    for name, factory in detectors(names):
        alerts, us = pb.run(factory, series)
        result[name] = r = pb.score(series, alerts) | {"us": us}
        if not as_json:
            print(
                f"{name:32s} recall {r['recall']:.2f}  precision {r['precision']:.2f}  F1 {r['f1']:.2f}  false/1000 {r['fa_per_1000']:.1f}  healthy series with one "
                f"{r['healthy_series_with_fa']:.2f}  {us:.0f} us  ",
                {k: round(v, 2) for k, v in r["by_class"].items()},
            )
    if as_json:
        print(json.dumps(result))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("source")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--detectors", default="zscore30", help="with commas; empty: judge nothing")
    a.add_argument("--events")
    a.add_argument("--series", help="write the series to this file, pickled, and judge nothing")
    a.add_argument("--json", action="store_true")
    a.add_argument("--hourly", action="store_true", help="a load an hour instead of one a day")
    o = a.parse_args()
    sets, skip, start, step = load_hourly(o.source) if o.hourly else load(o.source)
    faulty, series, labels = build(sets, skip, start, step, o.seed)
    if o.series:
        Path(o.series).write_bytes(pickle.dumps(series))
        return
    if o.events:
        write_events(faulty, labels, start, o.events, skip)
    if o.detectors:
        report(series, o.detectors.split(","), o.json)


if __name__ == "__main__":
    main()
