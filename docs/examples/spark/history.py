"""Prints thirty daily runs as this Spark tells of them, a line each: what Detector can learn the usual from."""

import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

folder = Path.cwd()
job = {"namespace": "spark", "name": f"orders.execute_insert_into_hadoop_fs_relation_command.{folder.name}_orders"}
for days_ago in range(30, 0, -1):
    rows = random.randint(980, 1_020)
    written = {
        "namespace": "file",
        "name": f"{folder}/orders",
        "facets": {"lifecycleStateChange": {"lifecycleStateChange": "OVERWRITE"}},
        "outputFacets": {"outputStatistics": {"rowCount": rows}},
    }
    at = (datetime.now(UTC) - timedelta(days=days_ago)).isoformat()
    run = {"eventType": "COMPLETE", "eventTime": at, "run": {"runId": str(uuid.uuid4())}}
    print(json.dumps({**run, "job": job, "inputs": [], "outputs": [written]}))
