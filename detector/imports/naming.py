"""What OpenLineage calls the tables of a server that a contract describes, so that rules match what events speak of."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

Server = Mapping[str, Any]


class Place(NamedTuple):
    """The namespace of datasets, and what stands before a table in their names."""

    namespace: str
    before: str = ""

    def dataset(self, table: str) -> str:
        """The dataset that a table is, as `<namespace>/<name>`."""
        return f"{self.namespace}/{self.before}.{table}" if self.before else f"{self.namespace}/{table}"


def place(server: Server, namespace: str = "") -> Place | None:
    """Where the tables of a server are; None if nobody knows what OpenLineage calls it. `namespace` is known better."""
    kind = str(server.get("type", "")).lower()
    before = ".".join(str(server[key]) for key in _LEVELS.get(kind, _ANY_LEVELS) if server.get(key))
    if namespace:
        return Place(namespace, before)
    named = _NAMESPACES.get(kind)
    if named is None:
        return None
    try:
        return Place(named(server), before)
    except KeyError:
        return None


def _at_host(scheme: str, port: int | None) -> Callable[[Server], str]:
    def named(server: Server) -> str:
        on = server.get("port", port)
        return f"{scheme}://{server['host']}" + (f":{on}" if on else "")

    return named


def _redshift(server: Server) -> str:
    """By cluster and region, which are parts of the host's name."""
    words = str(server["host"]).split(".")
    where = f"{words[0]}.{words[2]}" if len(words) > 3 and words[3] == "redshift" else words[0]
    return f"redshift://{where}:{server.get('port', 5439)}"


def _bucket(server: Server) -> str:
    scheme, _, rest = str(server["location"]).partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


_ANY_LEVELS: Final = ("catalog", "project", "database", "dataset", "schema")
_LEVELS: Final[dict[str, tuple[str, ...]]] = {
    "mysql": ("database",),
    "oracle": ("serviceName", "schema"),
    "bigquery": ("project", "dataset"),
    "databricks": ("catalog", "schema"),
    "trino": ("catalog", "schema"),
    "presto": ("catalog", "schema"),
    "athena": ("catalog", "schema"),
    "kafka": (),
    "s3": (),
}
_NAMESPACES: Final[dict[str, Callable[[Server], str]]] = {
    "postgres": _at_host("postgres", 5432),
    "postgresql": _at_host("postgres", 5432),
    "mysql": _at_host("mysql", 3306),
    "sqlserver": _at_host("mssql", 1433),
    "oracle": _at_host("oracle", 1521),
    "trino": _at_host("trino", 8080),
    "kafka": _at_host("kafka", None),
    "databricks": lambda server: f"databricks://{str(server['host']).removeprefix('https://').rstrip('/')}",
    "snowflake": lambda server: f"snowflake://{server['account']}",
    "bigquery": lambda _: "bigquery",
    "athena": lambda server: f"awsathena://athena.{server['regionName']}.amazonaws.com",
    "redshift": _redshift,
    "s3": _bucket,
}
