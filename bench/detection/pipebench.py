"""pipebench: a seeded benchmark of per-run data-pipeline metrics with injected, labelled faults.

A detector is any callable  det(timestamp: float, value: float|None) -> (score in [0,1], alert: bool)
fed one observation at a time; a factory makes a fresh one per series (so one fixed configuration).
Observations are batch-run metrics (row counts, durations, null rates, bytes ...) with 30..1500 points.

    python -m bench.detection.pipebench [--seed 1] [--detectors zscore30,iqr,module:factory,...] [--series N] [--json]

Scoring is by episode.  Alerts at most `GAP` observations apart are one episode.
  recall@k       faults with an alert raised within the first k faulty observations (k per class)
  rec_stat       the same without missing runs (the harness gives those to everyone)
  delay          observations from onset to the first alert (0 = the first faulty one), detected faults
  FA/1000        false episodes per 1000 healthy, non-warm-up observations
  precision      fault-detecting episodes / (those + false episodes)
Legitimate events (level changes, holidays, month ends) are labelled "legit": a level change may
be alerted once (one episode within its first LEGIT observations is free); the second is false.
Holidays and the first two month ends cannot be told from a fault by the series alone: alerts there
are counted apart (`calendar_alert_rate`, per calendar day), neither false nor true.
The first WARM observations of each series are not scored, for anyone.
"""

import argparse
import importlib
import json
import math
import time
from dataclasses import dataclass, field

import numpy as np

DAY = 86400.0
T0 = 1704067200.0  # Mon 2024-01-01 00:00 UTC
WARM, GAP, LEGIT = 20, 3, 10
K = {
    "drop": 2,
    "spike": 2,
    "partial_load": 3,
    "duplicate_load": 2,
    "null_jump": 3,
    "stuck": 6,
    "variance": 12,
    "creep": 20,
    "leak": 25,
    "missing_run": 2,
}


@dataclass
class Series:
    name: str
    kind: str
    ts: np.ndarray
    y: np.ndarray
    faults: list = field(default_factory=list)  # (class, first index, last index)
    legit: list = field(default_factory=list)  # indices where a legitimate level change begins
    calendar: np.ndarray = None  # holidays and the first two month ends
    oracle: tuple = None  # true |z| scale: (true mean, true sd) per row, for the bound


def _base(rng, n, step, kind):
    """healthy series and its legitimate changes"""
    t = T0 + step * np.arange(n) + (rng.normal(0, 60, n) if step > 3600 else rng.normal(0, 5, n))
    d = (t - T0) / DAY
    dow, hour, dom = (np.floor(d) % 7).astype(int), (d % 1) * 24, (np.floor(d) % 30.4).astype(int)
    hourly = step < DAY
    season = np.zeros(n)
    if hourly:
        season += rng.uniform(0.2, 0.9) * np.cos(2 * np.pi * (hour - rng.uniform(0, 24)) / 24)
        season += rng.uniform(0, 0.25) * np.cos(4 * np.pi * (hour - rng.uniform(0, 24)) / 24)
    if rng.random() < 0.7:
        season += np.where(dow >= 5, -rng.uniform(0.1, 0.9), 0) + rng.normal(0, 0.05, 7)[dow]
    trend = rng.choice([0, 0, 1]) * rng.normal(0, 0.5) * d / 365
    month_end = np.where(dom >= 29, rng.uniform(0.2, 0.7), 0) if rng.random() < 0.35 else np.zeros(n)
    holiday = np.zeros(n)
    for h in rng.choice(np.arange(10, 400), 6, replace=False):
        holiday[(np.floor(d) == h)] = -rng.uniform(0.3, 1.0)
    if rng.random() < 0.5:
        holiday[:] = 0
    calendar = (holiday != 0) | ((month_end > 0) & (d < 61))  # not knowable from the series alone
    sigma = float(rng.choice([0.02, 0.05, 0.1, 0.2]))
    ar = np.zeros(n)
    phi = rng.choice([0, 0.3, 0.6])
    e = rng.normal(0, sigma, n) if rng.random() < 0.6 else rng.standard_t(4, n) * sigma * 0.7
    for i in range(1, n):
        ar[i] = phi * ar[i - 1] + e[i]
    legit, level, sda = [], np.zeros(n), float(np.std(ar))
    if rng.random() < 0.4 and n >= 80:
        i = int(rng.integers(int(0.35 * n), int(0.8 * n)))
        level[i:] = rng.choice([-1, 1]) * rng.uniform(0.25, 0.9)
        legit.append(i)
    z = season + trend + month_end + holiday + ar + level
    m0 = z - ar
    if kind in ("rows", "bytes"):
        sc = 10 ** rng.uniform(2.5, 8)
        y = np.round(sc * np.exp(z))
        orc = (np.log(sc) + m0, np.full(n, sda))
    elif kind == "duration":
        sc, h = 10 ** rng.uniform(0.8, 4), np.abs(rng.standard_t(3, n)) * rng.choice([0.03, 0.1])
        y = sc * np.exp(0.4 * z + h)
        orc = (np.log(sc) + 0.4 * m0 + h.mean(), np.full(n, math.hypot(0.4 * sda, h.std())))
    elif kind == "null_rate":
        p, m = 10 ** rng.uniform(-4, -2), int(10 ** rng.uniform(3, 6))
        y = rng.binomial(m, np.clip(p * np.exp(0.5 * ar), 0, 1), n) / m
        legit = []
        orc = (np.full(n, p), np.full(n, math.hypot(math.sqrt(p / m), 0.5 * sda * p)))
    elif kind == "ratio":
        c = rng.uniform(-2, 3)
        y = 1 / (1 + np.exp(-(c + 0.3 * z)))
        q = 1 / (1 + np.exp(-(c + 0.3 * m0)))
        orc = (q, 0.3 * sda * q * (1 - q))
    elif kind == "count":
        c = rng.uniform(0.5, 4)
        y = rng.poisson(np.exp(c + 0.5 * (season + ar))).astype(float)
        legit = []
        q = np.exp(c + 0.5 * season)
        orc = (q, np.sqrt(q + (0.5 * sda * q) ** 2))
    else:  # intermittent: zero most of the time
        y = np.where(
            rng.random(n) < rng.uniform(0.05, 0.4), np.round(np.exp(rng.normal(rng.uniform(1, 6), 0.7, n))), 0.0
        )
        legit, orc = [], (y.copy(), np.full(n, np.inf))
    if kind in ("null_rate", "count", "intermittent"):
        calendar[:] = False
    return t, y.astype(float), legit, calendar, orc


def _inject(rng, s, cls, i):
    y, n = s.y, len(s.y)
    dur = {
        "drop": (1, 3),
        "spike": (1, 3),
        "partial_load": (2, 6),
        "duplicate_load": (1, 3),
        "null_jump": (3, 12),
        "stuck": (8, 20),
        "variance": (15, 30),
        "creep": (25, 40),
        "leak": (30, 50),
        "missing_run": (1, 3),
    }[cls]
    m = int(rng.integers(dur[0], dur[1] + 1))
    j = min(n, i + m)
    w = slice(i, j)
    if cls == "drop":
        y[w] *= rng.uniform(0.0, 0.2)
    elif cls == "spike":
        y[w] *= rng.uniform(4, 10)
    elif cls == "partial_load":
        y[w] *= 0.7
    elif cls == "duplicate_load":
        y[w] *= 2.0
    elif cls == "null_jump":
        y[w] = np.clip(y[w] + rng.uniform(0.02, 0.05), 0, 1)
    elif cls == "stuck":
        y[w] = y[i - 1]
    elif cls == "variance":
        med = np.median(y[max(0, i - 60) : i])
        y[w] = np.maximum(
            y[w] + rng.normal(0, 4, j - i) * np.std(np.diff(y[max(0, i - 60) : i])), 0 if med >= 0 else -np.inf
        )
    elif cls == "creep":
        y[w] *= 1 + np.linspace(0.03, 1.5, j - i)
    elif cls == "leak":
        y[w] *= 1 - np.linspace(0.02, 0.6, j - i)
    elif cls == "missing_run":
        y[w] = np.nan
    s.faults.append((cls, i, j - 1))
    return j


ALLOWED = {
    "rows": ["drop", "spike", "partial_load", "duplicate_load", "stuck", "leak", "variance", "missing_run"],
    "bytes": ["drop", "partial_load", "duplicate_load", "leak", "stuck", "missing_run"],
    "duration": ["spike", "creep", "variance", "missing_run"],
    "null_rate": ["null_jump"],
    "ratio": ["null_jump", "stuck"],
    "count": ["spike", "missing_run"],
    "intermittent": [],
}


def generate(seed=1, n_series=240, *, faults=True):
    out = []
    kinds = ["rows"] * 4 + ["bytes"] * 2 + ["duration"] * 4 + ["null_rate"] * 3 + ["ratio", "count", "intermittent"]
    for k in range(n_series):
        rng = np.random.default_rng([seed, k])
        kind = kinds[k % len(kinds)]
        hourly = rng.random() < 0.45
        n = int(rng.choice([336, 720, 1000, 1500])) if hourly else int(rng.choice([30, 60, 90, 180, 365]))
        t, y, legit, cal, orc = _base(rng, n, 3600.0 if hourly else DAY, kind)
        s = Series(f"{kind}_{'h' if hourly else 'd'}_{n}_{k}", kind, t, y.copy(), [], legit, cal, orc)
        if faults and n >= 60 and ALLOWED[kind] and rng.random() < 0.75:  # a quarter of series stay healthy
            i = WARM + int(rng.integers(5, 25)) + int(0.1 * n)
            while i < n - 10:
                if any(abs(i - L) < 40 for L in legit):
                    i += 20
                    continue
                cls = str(rng.choice(ALLOWED[kind]))
                if cls in ("leak", "creep", "variance") and i > n - 55:
                    break
                i = _inject(rng, s, cls, i) + int(rng.integers(50, 60 + n // 4))
        out.append(s)
    return out


def run(factory, series):
    """feed one by one; a missing run arrives as value None at the time it was expected"""
    res, t0, n = [], time.perf_counter(), 0
    for s in series:
        det = factory()
        al = np.zeros(len(s.y), bool)
        for i in range(len(s.y)):
            v = s.y[i]
            al[i] = det(float(s.ts[i]), None if math.isnan(v) else float(v))[1]
        res.append(al)
        n += len(s.y)
    return res, (time.perf_counter() - t0) / n * 1e6


def score(series, alerts):
    cls_n, cls_hit, delays = {}, {}, []
    false_ep = true_ep = healthy = daily_fa = daily_h = legit_ep = cal_ep = cal_days = 0
    healthy_series_fa = n_healthy = 0
    for s, al in zip(series, alerts, strict=True):
        state = np.where(
            s.calendar, 5, 0
        )  # 0 healthy, 1 fault, 2 grace after one, 3 warm-up, 4 legit change, 5 calendar
        for c, a, b in s.faults:
            state[a : b + 1] = 1
            state[b + 1 : b + 1 + max(3, (b - a + 1) // 2)] = 2  # recovery edge: not charged
        for i in s.legit:
            state[i : i + LEGIT] = np.where(state[i : i + LEGIT] == 0, 4, state[i : i + LEGIT])
        state[:WARM] = 3
        cal_days += len(np.unique(np.floor(s.ts[state == 5] / DAY)))
        healthy += int((state == 0).sum())
        fa0 = false_ep
        for c, a, b in s.faults:
            cls_n[c] = cls_n.get(c, 0) + 1
            hit = np.flatnonzero(al[a : min(b + 1, a + K[c])])
            # an alert anywhere in the fault is no false alarm; only one within k counts as recall
            if len(hit):
                cls_hit[c] = cls_hit.get(c, 0) + 1
                delays.append(int(hit[0]))
                true_ep += 1
        idx = np.flatnonzero(al & (state != 3))
        last, ep, told = -99, None, set()
        for i in idx:
            if i - last > GAP:
                ep = None
            last = i
            if state[i] in (1, 2):
                ep = "t"
            elif ep is None:
                change = max((L for L in s.legit if i >= L), default=None)
                if state[i] == 4 and change not in told:
                    ep = "l"
                    legit_ep += 1
                    told.add(change)
                elif state[i] == 5:
                    ep = "c"
                    cal_ep += 1
                else:
                    ep = "f"
                    false_ep += 1
        if not s.faults:
            n_healthy += 1
            healthy_series_fa += false_ep > fa0
        if "_d_" in s.name:
            daily_fa += false_ep - fa0
            daily_h += int((state == 0).sum())
    tot, hit = sum(cls_n.values()), sum(cls_hit.values())
    p = true_ep / max(1, true_ep + false_ep)
    r = hit / max(1, tot)
    stat_n = tot - cls_n.get("missing_run", 0)  # every detector here gets missing runs for free
    return {
        "recall": r,
        "recall_statistical": (hit - cls_hit.get("missing_run", 0)) / max(1, stat_n),
        "precision": p,
        "f1": 2 * p * r / max(1e-9, p + r),
        "fa_per_1000": 1000 * false_ep / healthy,
        "fa_per_1000_daily": 1000 * daily_fa / max(1, daily_h),
        "false_episodes": false_ep,
        "legit_change_alerts": legit_ep,
        "legit_changes": sum(len(s.legit) for s in series),
        "calendar_alert_rate": cal_ep / max(1, cal_days),
        "healthy_series_with_fa": healthy_series_fa / max(1, n_healthy),
        "delay_mean": float(np.mean(delays)) if delays else float("nan"),
        "faults": tot,
        "healthy_obs": healthy,
        "by_class": {c: cls_hit.get(c, 0) / cls_n[c] for c in K if c in cls_n},
        "n_class": cls_n,
    }


def oracle(series, k=4.0):
    """alerts of a detector that knows the true mean and sd of every observation and the calendar, and
    flags |z| > k: the bound for point faults at that sensitivity (not for stuck, drift, variance)"""
    out = []
    for s in series:
        y = np.log(np.maximum(s.y, 1e-9)) if s.kind in ("rows", "bytes", "duration") else s.y
        z = np.abs(y - s.oracle[0]) / np.maximum(s.oracle[1], 1e-12)
        out.append(np.where(np.isnan(s.y), True, z > k))
    return out


# ---------------------------------------------------------------- baselines
class Window:
    """mean/sd or quartile rule on the last `w` values (Elementary / hand-written dbt tests)"""

    def __init__(self, w=30, k=3.0, rule="z", minimum=7):
        self.w, self.k, self.rule, self.min, self.b = w, k, rule, minimum, []

    def __call__(self, t, v):
        if v is None:
            return 1.0, True
        b, s = self.b, 0.0
        if len(b) >= self.min:
            if self.rule == "z":
                sd = float(np.std(b, ddof=1))
                s = abs(v - float(np.mean(b))) / sd if sd > 0 else (99.0 if v != b[-1] else 0.0)
            elif self.rule == "mad":
                m = float(np.median(b))
                sd = 1.4826 * float(np.median(np.abs(np.array(b) - m)))
                s = abs(v - m) / sd if sd > 0 else (99.0 if v != m else 0.0)
            else:
                q1, q3 = np.percentile(b, [25, 75])
                i = q3 - q1
                s = max(q1 - v, v - q3, 0) / i if i > 0 else (99.0 if not q1 <= v <= q3 else 0.0)
        b.append(v)
        if len(b) > self.w:
            b.pop(0)
        return s / (s + self.k), s > self.k


class DeequHW:
    """Deequ-like additive Holt-Winters: weekly period on daily series, 24 on hourly ones; alert when
    |residual| > 1.96 sd of past residuals.  An online approximation: Deequ itself refits alpha, beta and
    gamma on the whole history every time and uses the sd of the absolute residuals."""

    def __init__(self, k=1.96, a=0.3, b=0.05, g=0.3):
        self.k, self.a, self.b, self.g = k, a, b, g
        self.h, self.t, self.n = [], None, 0
        self.lv = None

    def __call__(self, t, v):
        if v is None:
            return 1.0, True
        if self.lv is None:
            self.h.append((t, v))
            if len(self.h) == 2:
                self.p = 24 if self.h[1][0] - self.h[0][0] < 7200 else 7
            if len(self.h) >= 2 and len(self.h) == 2 * self.p:
                y = np.array([x for _, x in self.h])
                self.lv, self.tr = float(y[self.p :].mean()), float((y[self.p :].mean() - y[: self.p].mean()) / self.p)
                self.s = list(((y[: self.p] - y[: self.p].mean()) + (y[self.p :] - y[self.p :].mean())) / 2)
                self.i, self.e2, self.ne = 0, 0.0, 0
            return 0.0, False
        f = self.lv + self.tr + self.s[self.i]
        e = v - f
        sd = math.sqrt(self.e2 / self.ne) if self.ne >= self.p else float("inf")
        z = abs(e) / sd if sd > 0 else (99.0 if e else 0.0)
        self.e2 += e * e
        self.ne += 1
        lv = self.a * (v - self.s[self.i]) + (1 - self.a) * (self.lv + self.tr)
        self.tr = self.b * (lv - self.lv) + (1 - self.b) * self.tr
        self.s[self.i] = self.g * (v - lv) + (1 - self.g) * self.s[self.i]
        self.lv, self.i = lv, (self.i + 1) % self.p
        return z / (z + self.k), z > self.k


class OnlineNormal:
    """Deequ OnlineNormal: running mean/sd of all the past, anomalies excluded, 3 sd"""

    def __init__(self, k=3.0):
        self.k, self.n, self.m, self.s = k, 0, 0.0, 0.0

    def __call__(self, t, v):
        if v is None:
            return 1.0, True
        sd = math.sqrt(self.s / (self.n - 1)) if self.n > 1 else 0.0
        z = abs(v - self.m) / sd if sd > 0 and self.n >= 10 else 0.0
        if z <= self.k:
            self.n += 1
            d = v - self.m
            self.m += d / self.n
            self.s += d * (v - self.m)
        return z / (z + self.k), z > self.k


class SameSlot:
    """z-score against the same weekday (daily) / same hour (hourly): Elementary's `seasonality`"""

    def __init__(self, k=3.0):
        self.k, self.d, self.t = k, {}, []

    def __call__(self, t, v):
        if v is None:
            return 1.0, True
        self.t = (self.t + [t])[-2:]
        hourly = len(self.t) == 2 and self.t[1] - self.t[0] < 7200
        key = int(t / 3600 + 0.5) % 24 if hourly else int((t + 1800) / DAY) % 7
        b = self.d.setdefault(key, [])
        s = 0.0
        if len(b) >= 3:
            sd = float(np.std(b, ddof=1))
            s = abs(v - float(np.mean(b))) / sd if sd > 0 else (99.0 if v != b[-1] else 0.0)
        b.append(v)
        del b[:-14]
        return s / (s + self.k), s > self.k


def river_detectors():
    from river import anomaly, compose, linear_model, optim, preprocessing, time_series

    class G:
        def __init__(self):
            self.m = anomaly.GaussianScorer(window_size=None, grace_period=20)

        def __call__(self, t, v):
            if v is None:
                return 1.0, True
            s = self.m.score_one(None, v)
            self.m.learn_one(None, v)
            return s, s > 0.9973

    class H:
        def __init__(self):
            self.m = anomaly.QuantileFilter(
                compose.Pipeline(
                    preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(n_trees=15, height=6, window_size=25, seed=1)
                ),
                q=0.98,
            )
            self.b, self.n = [], 0

        def __call__(self, t, v):
            if v is None:
                return 1.0, True
            self.b = (self.b + [v])[-3:]
            x = {i: self.b[max(-len(self.b), -1 - i)] for i in range(3)}
            s = self.m.score_one(x)
            al = self.m.classify(s) and self.n > 30
            self.m.learn_one(x)
            self.n += 1
            return s, bool(al)

    class P:
        def __init__(self, f):
            self.m = anomaly.PredictiveAnomalyDetection(f(), horizon=1, n_std=3.0, warmup_period=20)

        def __call__(self, t, v):
            if v is None:
                return 1.0, True
            try:
                s = float(self.m.score_one(None, v))
            except Exception:
                s = 0.0
            try:
                self.m.learn_one(None, v)
            except Exception:
                pass
            return min(max(s, 0.0), 1.0), s >= 1.0

    hw = lambda: time_series.HoltWinters(alpha=0.3, beta=0.05, gamma=0.3, seasonality=7)
    sn = lambda: time_series.SNARIMAX(
        p=7,
        d=0,
        q=0,
        m=7,
        sp=1,
        regressor=compose.Pipeline(
            preprocessing.StandardScaler(), linear_model.LinearRegression(optimizer=optim.SGD(0.01))
        ),
    )
    return {"river_gauss": G, "river_hst_q98": H, "river_pad_hw7": lambda: P(hw), "river_pad_snarimax": lambda: P(sn)}


BASELINES = {
    "zscore30": Window,
    "zscore14_elementary": lambda: Window(14),
    "iqr30": lambda: Window(30, 1.5, "iqr"),
    "iqr30_k3": lambda: Window(30, 3.0, "iqr"),
    "mad30_3.5": lambda: Window(30, 3.5, "mad"),
    "deequ_onlinenormal": OnlineNormal,
    "deequ_hw": DeequHW,
    "elementary_seasonal": SameSlot,
}


def show(name, r, us=float("nan")):
    print(
        f"{name:22s} rec {r['recall']:.3f} rec_stat {r['recall_statistical']:.3f} prec {r['precision']:.3f} F1 {r['f1']:.3f} FA/1000 {r['fa_per_1000']:6.2f} (daily {r['fa_per_1000_daily']:6.2f}) "
        f"FAseries {r['healthy_series_with_fa']:.2f} legit {r['legit_change_alerts']}/{r['legit_changes']} cal {r['calendar_alert_rate']:.2f} delay {r['delay_mean']:.2f} {us:.0f}us | "
        + " ".join(f"{c}={v:.2f}" for c, v in r["by_class"].items()),
        flush=True,
    )


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--series", type=int, default=240)
    ap.add_argument("--detectors", default="")
    ap.add_argument("--json", action="store_true")
    a = ap.parse_args()
    dets = dict(BASELINES)
    try:
        dets.update(river_detectors())
    except ImportError:
        pass
    series = generate(a.seed, a.series)
    for k in (4.0, 5.0):
        show(f"ORACLE |z|>{k:.0f}", score(series, oracle(series, k)))
    for name in a.detectors.split(",") if a.detectors else dets:
        if ":" in name:  # any importable factory: package.module:attribute
            module, attribute = name.split(":")
            dets[name] = getattr(importlib.import_module(module), attribute)
        al, us = run(dets[name], series)
        r = score(series, al)
        print(json.dumps({name: r})) if a.json else show(name, r, us)


if __name__ == "__main__":
    main()
