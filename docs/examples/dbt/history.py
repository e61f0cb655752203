"""Prints the profiles of thirty daily loads, a line each: what Detector can learn the usual from."""

import subprocess
import sys
import time

import detector

for days_ago in range(30, 0, -1):
    subprocess.run([sys.executable, "load.py", "good"], check=True)
    profile = detector.profile("orders.csv", sys.argv[1])
    profile.event_time = time.time() - 86_400 * days_ago
    print(profile.to_json().decode())
