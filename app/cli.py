"""The `vidpref` command. Commands parse and print; Python code can call what does the work."""

import logging
import os
import sys
from typing import NoReturn

import typer

from app.commands import data, labels, models, people, workspace
from storage.errors import VidprefError

logger = logging.getLogger(__name__)

INTERRUPTED = 130

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
    except SystemExit as end:
        # Typer has turned a KeyboardInterrupt into this code.
        if end.code == INTERRUPTED:
            typer.echo("interrupted; run the same command again to go on where it stopped", err=True)
        raise
    except ImportError as error:
        _fail(f"{error}. Models run with more packages: pip install 'vidpref[train]'")
    except (VidprefError, ValueError, OSError) as error:
        _fail(str(error))
    except Exception:  # the outermost place: whatever got here is a bug, and its traceback is what helps
        logger.exception("the command failed in a way it should not; please report this")
        sys.exit(1)


def _fail(message: str) -> NoReturn:
    typer.echo(f"error: {message}", err=True)
    sys.exit(1)
