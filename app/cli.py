"""The `vidpref` command. Commands parse and print; Python code can call what does the work."""

import logging
import os
import sys

import typer

from app.commands import data, labels, models, people, workspace
from storage.errors import VidprefError

app = typer.Typer(
    name="vidpref",
    help="Turn what people and model judges prefer into better text-to-video models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for module in (workspace, data, models, labels, people):
    module.register(app)


def main() -> None:
    """Run the command line; user errors print one message, and every failure exits non-zero.

    One CPU thread for torch unless `OMP_NUM_THREADS` says otherwise: small models gain little from more, and
    on a busy machine threads that wait for one another made a step up to 40 times slower.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except KeyboardInterrupt:
        typer.echo("interrupted; run the same command again to go on where it stopped", err=True)
        sys.exit(130)
    except (VidprefError, ValueError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
