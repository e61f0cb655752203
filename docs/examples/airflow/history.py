"""Prints the runs of thirty daily loads, a line each: what Detector can learn the usual from."""

import json
import random
import time

for days_ago in range(30, 0, -1):
    run = {"run_id": f"{days_ago} days ago", "state": "COMPLETE", "event_time": time.time() - 86_400 * days_ago}
    written = {"namespace": "shop", "name": "orders", "rows": random.randint(980, 1_020)}
    job = {"namespace": "airflow", "name": "shop.load_orders"}
    print(json.dumps({"kind": "run_event", **job, **run, "outputs": [written]}))
