"""Writes orders.csv, as some other system would each day: load.py [good|half]."""

import csv
import random
import sys
from pathlib import Path

rows = random.randint(980, 1_020) // (2 if sys.argv[1:] == ["half"] else 1)
with Path("orders.csv").open("w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "customer", "amount"])
    out.writerows(
        [number, f"c{random.randrange(200)}", round(random.lognormvariate(3, 0.5), 2)] for number in range(rows)
    )
