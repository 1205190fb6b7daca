"""Command line: ``python -m local_cloud run|up [BLUEPRINT]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from local_cloud.run import run as run_blueprint

app = typer.Typer(help="One-machine AWS.", no_args_is_help=True, add_completion=False)

BlueprintName = Annotated[
    str, typer.Argument(help="A blueprint's name, or a folder with project.yml and data/.")
]

Root = Annotated[Path, typer.Option(help="Folder for everything that the run makes.")]
ROOT = Path(".local")


@app.command()
def run(blueprint: BlueprintName = "churn", root: Root = ROOT) -> None:
    """Take a blueprint through the whole workflow, ask the endpoint, stop everything."""
    raise typer.Exit(run_blueprint(blueprint, root=root, console=Console()))


@app.command()
def up(
    blueprint: BlueprintName = "churn",
    port: Annotated[int, typer.Option(help="Of the account's address; 0: a free one.")] = 0,
    root: Root = ROOT,
) -> None:
    """Do the same and stay up until Ctrl-C."""
    raise typer.Exit(run_blueprint(blueprint, root=root, console=Console(), port=port, stay=True))


if __name__ == "__main__":
    app()
