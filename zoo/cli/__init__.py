"""The command line, `genae`: verbs are imported when they are called, errors become exit codes."""

from typing import Annotated

import typer

from zoo.cli.group import VerbGroup

__all__ = ["app"]

app = typer.Typer(
    name="genae",
    cls=VerbGroup,
    help="A zoo of pretrained autoencoders: load, sample, train and measure them.",
    epilog="Start with: genae list",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(value: bool) -> None:
    if value:
        import zoo

        typer.echo(f"genae {zoo.__version__}")
        raise typer.Exit


@app.callback()
def genae(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show the traceback of an error; works in any position."),
    ] = False,
) -> None:
    """The options before the verb; the group has already removed `--debug`."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
