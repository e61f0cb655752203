"""Writes orders.csv, as some other system would each day: load.py [good|nulls|half]."""

import csv
import random
import sys
from pathlib import Path

what = sys.argv[1] if len(sys.argv) > 1 else "good"
rows = random.randint(980, 1_020) // (2 if what == "half" else 1)
with Path("orders.csv").open("w", newline="") as file:
    out = csv.writer(file)
    out.writerow(["id", "customer", "amount", "status"])
    for number in range(rows):
        amount = "" if what == "nulls" and number % 3 == 0 else round(random.lognormvariate(3, 0.5), 2)
        out.writerow([number, f"c{random.randrange(200)}", amount, random.choice(["new", "paid", "paid", "shipped"])])
