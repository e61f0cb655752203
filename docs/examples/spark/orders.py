"""The orders of a day, from CSV to Parquet. spark.conf says where its events go; nothing here knows of Detector."""

from pyspark.sql import SparkSession

# With a schema: to infer it, Spark runs jobs of its own, which are told, too, and one of them never as ended.
SCHEMA = "id LONG, customer STRING, amount DOUBLE"

with SparkSession.builder.appName("orders").getOrCreate() as spark:
    orders = spark.read.csv("orders.csv", header=True, schema=SCHEMA)
    orders.where("amount > 0").write.mode("overwrite").parquet("orders")
