"""Does it find faults? Detectors side by side, on series whose faults are known.

pipebench.py         metrics of pipeline runs with injected faults, the scorer of all, and the baselines
realrows.py          a year of real rows with faults injected into the rows
whole.py             the whole program over the events of realrows: what a person is told, and how often
telemetry_score.py   real telemetry whose anomalies people have labelled, and the scorer of that benchmark
regimes.py           a second generator, of another structure: nothing is tuned on it
budget.py            alerts of healthy series against the budget of false alarms that was set
__main__.py          several seeds, and their means beside the limits
"""
