"""Commands about the workspace itself: init, serve, stats, rebuild."""

import json
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from app.commands.options import DEFAULT_WORKSPACE, FormatOption, OutputFormat, WorkspaceOption, opened
from app.config import load_server_config
from app.setup import create_workspace
from storage.errors import VidprefError
from storage.rebuild import rebuild
from storage.stats import stats
from storage.workspace import Workspace


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("init", epilog="Example: vidpref init --workspace my-project")(init)
    app.command("serve", epilog="Example: vidpref serve --workspace my-project --port 7860")(serve)
    app.command("stats", epilog="Example: vidpref stats --format json")(show_stats)
    app.command("rebuild", epilog="Example: vidpref rebuild --workspace my-project")(rebuild_database)


def init(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Make a workspace: database, journal, media folder and settings."""
    create_workspace(workspace)
    typer.echo(f"workspace ready: {workspace}")
    typer.echo(f"next: vidpref users add NAME --role admin --workspace {workspace}")


def serve(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 picks a free one.")] = None,
) -> None:
    """Serve the workspace: pages and REST API. Stop with Ctrl-C."""
    # Gradio takes two seconds to import; the other commands do without it.
    from app.serve import serve as serve_app  # noqa: PLC0415

    config = load_server_config(Workspace.find(workspace).config_path, host=host, port=port)
    serve_app(workspace, config, on_ready=lambda address: typer.echo(f"serving {workspace} at {address}"))


def show_stats(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    output: FormatOption = OutputFormat.TEXT,
    server: Annotated[
        str | None, typer.Option(help="Ask a served workspace at this address instead.")
    ] = None,
    token: Annotated[str | None, typer.Option(envvar="VIDPREF_TOKEN", help="API token for --server.")] = None,
) -> None:
    """Count what the workspace holds."""
    counts = _remote_stats(server, token) if server else _local_stats(workspace)
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(counts, indent=2, sort_keys=True))
        return
    for name, value in counts.items():
        if isinstance(value, int):
            typer.echo(f"{name:>12} {value}")
    for group in ("by_category", "by_generator", "by_rater", "by_round"):
        for name, row in counts.get(group, {}).items():
            typer.echo(f"{group[3:]:>12} {name}: " + ", ".join(f"{k} {v}" for k, v in row.items()))


def _local_stats(root: Path) -> dict[str, Any]:
    with opened(root) as store:
        return stats(store)


def _remote_stats(server: str, token: str | None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(f"{server.rstrip('/')}/api/v1/stats", headers=headers, timeout=30)
    except httpx.HTTPError as error:
        raise VidprefError(f"no answer from {server}: {error}. Is the workspace served there?") from error
    if answer.status_code != httpx.codes.OK:
        raise VidprefError(
            f"{server} answered {answer.status_code}: {answer.text}. "
            "Give a token (`vidpref users token NAME`) with --token or VIDPREF_TOKEN."
        )
    counts: dict[str, Any] = answer.json()
    return counts


def rebuild_database(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Make the database again from the journal; the old file is moved aside, never deleted."""
    report = rebuild(workspace)
    typer.echo(str(report))
