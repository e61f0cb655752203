"""`import`: what others have declared already, as rules of the configuration, on standard output."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.errors import ConfigError

if TYPE_CHECKING:
    from detector.imports.dbt import Names
    from detector.imports.fragment import Fragment

imports = typer.Typer(
    no_args_is_help=True, help="What others have declared already, as rules of the configuration.", name="import"
)
LEFT_OUT = {"target", "dbt_packages", "dbt_modules", "node_modules", "venv"}


def there(path: Path) -> Path:
    """A file or a folder, as typed. Raises `BadParameter`."""
    if not path.exists():
        raise typer.BadParameter(f"there is no {path}")
    return path


@imports.command()
def odcs(
    file: Annotated[Path, typer.Argument(callback=there, metavar="FILE", help="A contract (ODCS 3), as YAML.")],
    server: Annotated[
        str, typer.Option("--server", metavar="NAME", show_default="the only one", help="Whose tables are meant.")
    ] = "",
    namespace: Annotated[
        str,
        typer.Option("--namespace", metavar="URI", show_default="by the server", help="What events call the server."),
    ] = "",
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="NAME", help="Of times of the day that name no offset.")
    ] = "UTC",
) -> None:
    """The quality and the service levels of a data contract, as rules.

    detector import odcs orders.odcs.yaml --server production > rules.yaml

    detector import odcs orders.odcs.yaml --namespace snowflake://acme-prod --timezone Europe/Berlin

    What could not be translated is a comment.
    """
    from detector.config import parse
    from detector.imports.odcs import translated

    _tell(translated(parse(_text(file)), file.name, server, namespace, timezone))


@imports.command("dbt")
def dbt_(
    path: Annotated[Path, typer.Argument(callback=there, metavar="DIR_OR_FILE", help="A project, or a YAML of it.")],
    namespaces: Annotated[
        list[str],
        typer.Option(
            "--namespace", metavar="[SOURCE=]URI", help="What events call the database; one source's own. Repeatable."
        ),
    ],
    models: Annotated[
        str, typer.Option("--models", metavar="DATABASE.SCHEMA", show_default=False, help="Where models are built.")
    ] = "",
) -> None:
    """The freshness of sources and the generic tests of a dbt project, as rules.

    detector import dbt . --namespace snowflake://acme-prod --models DWH.PUBLIC

    detector import dbt target/manifest.json --namespace snowflake://acme-prod

    detector import dbt models/_sources.yml --namespace bigquery --namespace stripe=postgres://stripe-db:5432
    """
    from detector.imports import dbt, manifest

    names, name = names_of(namespaces, models), path.resolve().name
    if path.suffix == ".json":
        _tell(manifest.translated(_json(path), names, name))
        return
    files = _yaml_files(path) if path.is_dir() else {path.name: _text(path)}
    _tell(dbt.translated(files, names, name))


def names_of(namespaces: list[str], models: str) -> "Names":
    """How datasets are called, as typed."""
    from detector.imports.dbt import Names

    whole, sources = "", {}
    for text in namespaces:
        name, equals, uri = text.partition("=")
        if equals and ":" not in name:
            sources[name] = uri
        elif whole:
            raise typer.BadParameter(f"{whole} and {text}: one namespace for all, others as SOURCE=URI")
        else:
            whole = text
    if not whole:
        raise typer.BadParameter("give one --namespace for all sources that have none of their own, and for models")
    return Names(whole, sources, models)


def _yaml_files(folder: Path) -> dict[str, str]:
    """The YAML of a project, but for what dbt has made or installed, by its path."""
    paths = sorted([*folder.rglob("*.yml"), *folder.rglob("*.yaml")])
    inner = [path for path in paths if not (LEFT_OUT | {".git"}) & set(path.relative_to(folder).parts)]
    return {path.relative_to(folder).as_posix(): _text(path) for path in inner}


def _json(path: Path) -> dict[str, Any]:
    import msgspec

    try:
        return msgspec.json.decode(_text(path), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: is no manifest: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8") from None


def _tell(fragment: "Fragment") -> None:
    typer.echo(fragment.text(), nl=False)
    deadlines = sum(rule.deadline is not None for rule in fragment.rules)
    typer.echo(
        f"{len(fragment.rules)} datasets, {fragment.checks} checks, {deadlines} deadlines;"
        f" {fragment.untranslated} not translated",
        err=True,
    )
