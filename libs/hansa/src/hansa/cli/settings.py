"""`config show`, `config schema`."""

from typing import Annotated

import typer

from hansa.cli import output
from hansa.cli.output import AsJson
from hansa.cli.processes import ConfigFile

app = typer.Typer(no_args_is_help=True)


@app.command()
def show(
    config: ConfigFile = None,
    origin: Annotated[bool, typer.Option("--origin", help="Also say where each value comes from.")] = False,
    json: AsJson = False,
) -> None:
    """Print every setting as it applies."""
    from hansa.config import load_settings, origins

    settings = load_settings(config)
    if json:
        output.as_json(settings.model_dump(mode="json"))
        return
    sources = origins(config)
    for name, (value, source) in sources.items():
        output.plain(f"{name} = {value}" + (f"   ({source})" if origin else ""))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the settings file."""
    from hansa.config import Settings

    output.as_json(Settings.model_json_schema())
