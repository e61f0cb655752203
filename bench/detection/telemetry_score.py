"""Stand-alone port of the NAB v1.1 scorer (standard / low-FP / low-FN), numpy only.

    python -m bench.detection.telemetry_score RESULTS_DIR --nab FOLDER [--threshold T] [--per-file] [--json]

RESULTS_DIR holds one CSV per NAB data file with columns timestamp,value,anomaly_score (label
columns are ignored), laid out as <category>/<name>.csv or <category>/<detector>_<name>.csv,
the way NAB writes results/<detector>/.  Labels come from labels/combined_windows.json only.

As in NAB, one threshold per profile is optimised over the whole corpus (--threshold fixes it
instead: the honest figure for a detector that ships one configured threshold), the first 15 %
of each file (at most 750 rows) is not scored, and 100 = perfect, 0 = the null detector.
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np

PROFILES = {  # tp, fp, fn weights: config/profiles.json
    "standard": (1.0, 0.11, 1.0),
    "reward_low_FP_rate": (1.0, 0.22, 1.0),
    "reward_low_FN_rate": (1.0, 0.11, 2.0),
}
PROBATION = 0.15


def scaled_sigmoid(x):
    x = np.asarray(x, float)
    return np.where(x > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(x, 3.0))) - 1.0)


def read(path):
    """the rows of a CSV file with a header"""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Corpus:
    """The files' timestamps, their windows, and each row's (weight-free) sweep score."""

    def __init__(self, nab):
        nab = Path(nab)
        windows = json.loads((nab / "labels/combined_windows.json").read_text())
        self.n_windows = sum(len(w) for w in windows.values())  # NAB's "perfect" TP count
        self.files, self.values = {}, {}
        max_tp = float(scaled_sigmoid(-1.0))
        for rel in sorted(windows):
            rows = read(nab / "data" / rel)
            ts = np.array([row["timestamp"] for row in rows], "datetime64[us]")
            n = len(rows)
            win = np.full(n, -1)
            sweep = np.full(n, -1.0)
            prev_right = prev_width = None
            start = 0
            # NAB matches window edges to exact timestamps, first occurrence
            for k, (a, b) in enumerate(windows[rel]):
                lo = int(np.flatnonzero(ts == np.datetime64(a))[0])
                hi = int(np.flatnonzero(ts == np.datetime64(b))[0])
                if prev_right is not None:
                    j = np.arange(start, lo)
                    sweep[j] = scaled_sigmoid(np.abs(prev_right - j) / (prev_width - 1.0))
                j = np.arange(lo, hi + 1)
                width = hi - lo + 1.0
                win[j] = k
                sweep[j] = scaled_sigmoid(-(hi - j + 1) / width) / max_tp
                prev_right, prev_width, start = hi, width, hi + 1
            if prev_right is not None:
                j = np.arange(start, n)
                sweep[j] = scaled_sigmoid(np.abs(prev_right - j) / (prev_width - 1.0))
            probation = min(int(PROBATION * n), PROBATION * 5000)
            scored = np.arange(n) >= probation
            self.files[rel] = (win, sweep, scored)
            self.values[rel] = (ts, np.array([float(row["value"]) for row in rows]))

    def score(self, scores, threshold=None):
        """scores: {relative path: array of anomaly scores} -> {profile: dict}."""
        missing = set(self.files) - set(scores)
        if missing:
            raise SystemExit(f"no result for {len(missing)} files, e.g. {sorted(missing)[:3]}")
        a_all, s_all, w_all, f_all, base = [], [], [], [], 0
        for fi, rel in enumerate(self.files):
            win, sweep, scored = self.files[rel]
            a = np.asarray(scores[rel], float)
            if len(a) != len(win):
                raise SystemExit(f"{rel}: {len(a)} rows, expected {len(win)}")
            a_all.append(a[scored])
            s_all.append(sweep[scored])
            w_all.append(np.where(win[scored] >= 0, win[scored] + base, -1))
            f_all.append(np.full(scored.sum(), fi))
            base += win.max() + 1
        a, s, w, f = map(np.concatenate, (a_all, s_all, w_all, f_all))
        order = np.argsort(-a, kind="stable")
        a, s, w, f = a[order], s[order], w[order], f[order]
        last = np.append(a[1:] != a[:-1], True)  # last row of each tie group
        present = np.unique(w[w >= 0])
        out = {}
        for name, (tpw, fpw, fnw) in PROFILES.items():
            delta = np.where(w < 0, s * fpw, 0.0)
            for k in present:
                idx = np.flatnonzero(w == k)
                best = np.maximum.accumulate(np.maximum(s[idx] * tpw, -fnw))
                delta[idx] = np.diff(np.concatenate([[-fnw], best]))
            null = -fnw * len(present)
            total = null + np.cumsum(delta)
            if threshold is None:
                cand = np.flatnonzero(last)
                i = cand[np.argmax(total[cand])]
                raw, thr = (total[i], a[i]) if total[i] > null else (null, 1.1)
            else:
                thr = threshold
                i = int(np.sum(a >= thr)) - 1
                raw = total[i] if i >= 0 else null
            hit = a >= thr
            per_file = {}
            for fi, rel in enumerate(self.files):
                m = hit & (f == fi)
                per_file[rel] = (
                    int(np.sum(m & (w < 0))),
                    len(np.unique(w[m & (w >= 0)])),
                    len(np.unique(w[(f == fi) & (w >= 0)])),
                    float(delta[m].sum()),
                )
            perfect = self.n_windows * tpw
            out[name] = {
                "score": 100.0 * (raw - null) / (perfect - null),
                "threshold": float(thr),
                "windows_hit": len(np.unique(w[hit & (w >= 0)])),
                "windows": len(present),
                "fp_rows": int(np.sum(hit & (w < 0))),
                "per_file": per_file,
            }
        return out


def read_results(folder, rels):
    folder, out = Path(folder), {}
    for rel in rels:
        cat, name = rel.split("/")
        hits = [p for p in (folder / cat).glob(f"*{name}") if p.name == name or p.name.endswith("_" + name)]
        if hits:
            out[rel] = np.array([float(row["anomaly_score"]) for row in read(hits[0])])
    return out


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("results", nargs="+")
    ap.add_argument("--nab", required=True, help="folder with data/ and labels/combined_windows.json")
    ap.add_argument("--threshold", type=float, help="fixed threshold instead of the optimised one")
    ap.add_argument("--per-file", action="store_true")
    ap.add_argument("--json", action="store_true")
    args = ap.parse_args()
    corpus = Corpus(args.nab)
    for folder in args.results:
        res = corpus.score(read_results(folder, corpus.files), args.threshold)
        if args.json:
            print(json.dumps({folder: {k: {x: y for x, y in v.items() if x != "per_file"} for k, v in res.items()}}))
            continue
        print(
            f"{Path(folder).name:20s} "
            + "  ".join(
                f"{k.replace('reward_', '').replace('_rate', '')}={v['score']:.2f} (thr {v['threshold']:.6g}, "
                f"hit {v['windows_hit']}/{v['windows']}, fp rows {v['fp_rows']})"
                for k, v in res.items()
            )
        )
        if args.per_file:
            for rel, (fp, hit, n, pts) in res["standard"]["per_file"].items():
                print(f"  {rel:60s} hit {hit}/{n} fp_rows {fp:4d} points {pts:+.2f}")


if __name__ == "__main__":
    sys.exit(main())
