"""A load of orders, and a report of them that is not made of bad ones."""

import csv
import random
from pathlib import Path

from airflow.providers.openlineage.extractors import OperatorLineage
from airflow.sdk import DAG, BaseOperator, task
from openlineage.client.event_v2 import OutputDataset
from openlineage.client.facet_v2 import output_statistics_output_dataset

from detector.client.airflow import DetectorGate

FILE = Path(__file__).parents[1] / "orders.csv"


class LoadOrders(BaseOperator):
    """Loads the orders of a day, and tells OpenLineage how many.

    What is told is kept in the task itself: an XCom cannot be had any more when it is asked for.
    """

    template_fields = ("what",)

    def __init__(self, *, what: str = "good", **kwargs) -> None:
        super().__init__(**kwargs)
        self.what = what

    def execute(self, context) -> None:  # noqa: ARG002 - Airflow's signature
        self.rows = random.randint(980, 1_020) // (2 if self.what == "half" else 1)
        with FILE.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["id", "amount"])
            out.writerows([number, round(random.lognormvariate(3, 0.5), 2)] for number in range(self.rows))

    def get_openlineage_facets_on_complete(self, task_instance) -> OperatorLineage:  # noqa: ARG002
        written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=self.rows, size=FILE.stat().st_size
        )
        return OperatorLineage(
            outputs=[OutputDataset(namespace="shop", name="orders", outputFacets={"outputStatistics": written})]
        )


with DAG("shop", params={"load": "good"}):
    load = LoadOrders(task_id="load_orders", what="{{ params.load }}")
    gate = DetectorGate(task_id="may_it_be_sent", entity="dataset:shop/orders")

    @task
    def send_report() -> None:
        print("the report is sent")

    load >> gate >> send_report()
