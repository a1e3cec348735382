"""Commands that make pairs and let model raters judge them: pair, judge, score."""

from typing import Annotated

import typer

from app.commands.options import (
    DEFAULT_WORKSPACE,
    CategoryOption,
    WorkspaceOption,
    opened,
    terminal_progress,
)
from app.labelling import BUILTIN, judge_category, pair_category, score_category


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command(
        "pair",
        epilog="Example: vidpref pair -c actions --strategy best_vs_worst --score 'human:temporal quality'",
    )(pair)
    app.command("judge", epilog="Example: vidpref judge --rater builtin --category slide")(judge)
    app.command("score", epilog="Example: vidpref score --category slide")(score)


def pair(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    category: CategoryOption = None,
    strategy: Annotated[str, typer.Option(help="all_pairs or best_vs_worst")] = "all_pairs",
    score: Annotated[
        str | None,
        typer.Option(
            help="SOURCE:ASPECT that ranks the clips: `human`, a rater's name or `builtin`, such as "
            "'human:temporal quality'. Ratings of a source also label the pairs they decide."
        ),
    ] = None,
    raters_per_pair: Annotated[int, typer.Option(min=1, help="How many people are asked per pair.")] = 1,
    generator: Annotated[str | None, typer.Option(help="Only clips of this generator.")] = None,
    min_gap: Annotated[float, typer.Option(min=0, help="No pair where the scores differ by no more.")] = 0.0,
) -> None:
    """Make pairs of clips of the same prompt; pairs that exist already are left as they are."""
    with opened(workspace) as store, terminal_progress() as progress:
        result = pair_category(
            store,
            category=category,
            strategy=strategy,
            score=score,
            raters_per_pair=raters_per_pair,
            generator=generator,
            min_gap=min_gap,
            progress=progress,
        )
    typer.echo(
        f"{result.num_new} new pairs ({result.num_pairs} wanted, {result.num_judgments} new judgments)"
    )


def judge(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    rater: Annotated[str, typer.Option(help="`builtin`, or SOURCE:ASPECT to let ratings decide.")] = BUILTIN,
    category: CategoryOption = None,
) -> None:
    """Let a model rater judge every pair it has not judged yet, on each aspect."""
    with opened(workspace) as store, terminal_progress() as progress:
        judgments = judge_category(store, rater=rater, category=category, progress=progress)
    num_pairs = len({judgment.pair_id for judgment in judgments})
    typer.echo(f"{rater}: {len(judgments)} judgments of {num_pairs} pairs")


def score(workspace: WorkspaceOption = DEFAULT_WORKSPACE, category: CategoryOption = None) -> None:
    """Rate every clip with the built-in scorer: its parts and the four aspects, 0 to 1."""
    with opened(workspace) as store, terminal_progress() as progress:
        num_scored = score_category(store, category=category, progress=progress)
    typer.echo(f"{num_scored} clips have scores of {BUILTIN!r}")
