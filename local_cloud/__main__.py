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

ScenarioName = Annotated[
    str, typer.Option(help="What comes second: next-release, bad-release or go-back.")
]

Root = Annotated[Path, typer.Option(help="Folder for everything that the run makes.")]
ROOT = Path(".local")


@app.command()
def run(
    blueprint: BlueprintName = "churn", scenario: ScenarioName = "next-release", root: Root = ROOT
) -> None:
    """Publish the template, create a project, release it twice, ask its API, stop everything."""
    code = run_blueprint(blueprint, scenario=scenario, root=root, console=Console())
    raise typer.Exit(code)


@app.command()
def up(
    blueprint: BlueprintName = "churn",
    scenario: ScenarioName = "next-release",
    port: Annotated[int, typer.Option(help="Of the account's address; 0: a free one.")] = 0,
    root: Root = ROOT,
) -> None:
    """Do the same and stay up until Ctrl-C."""
    code = run_blueprint(
        blueprint, scenario=scenario, root=root, console=Console(), port=port, stay=True
    )
    raise typer.Exit(code)


if __name__ == "__main__":
    app()
