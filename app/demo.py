"""`vidpref demo`: a new workspace, the whole loop on the tiny model, a report, and the served app."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.accounts import add_user, create_one_time_login
from app.config import load_server_config
from app.loop_session import RoundsRequest, run_rounds
from app.progress import TerminalProgress
from app.report import check_report_path
from app.rounds import RoundConfig
from app.setup import create_workspace
from storage.records import Role
from storage.store import Store
from storage.workspace import Workspace

CATEGORIES = ("bounce", "slide")
ACCOUNT = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """What `vidpref demo` was asked to do."""

    workspace: Path
    serve: bool = True
    report: Path | None = None
    rounds: int = 1
    seed: int = 0
    port: int | None = None
    """None: the one of the workspace's settings."""
    categories: tuple[str, ...] = CATEGORIES


def run_demo(config: DemoConfig, *, say: Callable[[str], object]) -> None:
    """Run the demo; in a workspace of an earlier demo, what is done is not done again.

    Raises:
        ValueError: The report cannot be written where it is wanted; nothing was run.
    """
    check_report_path(config.report)
    create_workspace(config.workspace)
    say(f"workspace {config.workspace}: {config.rounds} round(s) for {', '.join(config.categories)}")
    install = os.environ.get("VIDPREF_INSTALL_SECONDS")
    progress = TerminalProgress()
    try:
        report = run_rounds(
            config.workspace,
            RoundsRequest(
                categories=config.categories,
                rounds=config.rounds,
                total=True,
                config=RoundConfig(seed=config.seed),
                install_seconds=float(install) if install else None,
            ),
            progress=progress,
            say=say,
        )
    finally:
        progress.close()
    say(report.as_text())
    if config.report is not None:
        config.report.write_text(report.as_json())
        say(f"report written to {config.report}")
    if config.serve:
        serve_demo(config, say=say)


def serve_demo(config: DemoConfig, *, say: Callable[[str], object]) -> None:
    """Serve the demo workspace with a one-time log-in link for its account."""
    # Gradio takes two seconds to import; a demo that does not serve does without it.
    from app.serve import serve  # noqa: PLC0415

    with Store.open(config.workspace) as store:
        add_user(store, ACCOUNT, Role.ADMIN, None)
        secret = create_one_time_login(store, ACCOUNT)
    server = load_server_config(Workspace.find(config.workspace).config_path, port=config.port)
    serve(
        config.workspace,
        server,
        on_ready=lambda address: say(
            f"serving at {address}\nopen {address}/login/once/{secret} (works once, within a day)"
        ),
    )
