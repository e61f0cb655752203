"""Writes the dashboards to deploy/grafana/dashboards."""

from deploy.grafana.boards import BOARDS, PLACE, built

for name in BOARDS:
    (PLACE / name).write_text(built(name), encoding="utf-8")
