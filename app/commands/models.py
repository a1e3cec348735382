"""Commands that run models: generators, sample, train, round, demo."""

from pathlib import Path
from typing import Annotated

import typer

from app.commands.options import (
    DEFAULT_WORKSPACE,
    WorkspaceOption,
    opened,
    opened_with_media,
    terminal_progress,
)
from app.demo import DemoConfig, run_demo
from app.generation import add_generator, sample_category
from app.loop_session import RoundsRequest, run_rounds
from app.report import check_report_path
from app.rounds import RoundConfig
from app.training_runs import train_dataset
from storage.generators import list_generators
from storage.records import Aspect

generators = typer.Typer(no_args_is_help=True, help="Generators: add, list.")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(generators, name="generators")
    app.command("sample", epilog="Example: vidpref sample -c slide --per-prompt 4 --seed 1")(sample)
    app.command("train", epilog="Example: vidpref train --dataset workspace/datasets/slide-1a2b3c")(train)
    app.command("round", epilog="Example: vidpref round --category slide --rounds 2")(run_round_command)
    app.command("demo", epilog="Example: vidpref demo --no-serve --report report.json")(demo)


@generators.command("add", epilog="Example: vidpref generators add wan-1.3b --model PATH_OR_HUB_NAME")
def generators_add(
    name: str,
    model: Annotated[str, typer.Option(help="Folder or Hub name of a diffusers pipeline.")],
    family: Annotated[str, typer.Option(help="Model family.")] = "wan",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Register a model to sample from and to train."""
    with opened(workspace) as store:
        add_generator(store, name=name, family=family, model=model)
    typer.echo(f"added generator {name}")


@generators.command("list", epilog="Example: vidpref generators list")
def generators_list(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """List the generators."""
    with opened(workspace) as store:
        for generator in list_generators(store):
            typer.echo(f"{generator.name}\t{generator.family}\tround {generator.round}\t{generator.model}")


def sample(
    category: Annotated[str, typer.Option("--category", "-c", help="The action category.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    generator: Annotated[str, typer.Option("--generator", "-g", help="Which generator.")] = "tiny",
    per_prompt: Annotated[int, typer.Option(min=1, help="Clips per prompt.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same clips.")] = 0,
    num_prompts: Annotated[int | None, typer.Option(min=1, help="At most this many prompts.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips per batch.")] = 16,
) -> None:
    """Sample clips for a category's prompts. What exists already is kept: run it again to go on."""
    with opened_with_media(workspace) as (store, media), terminal_progress() as progress:
        videos = sample_category(
            store,
            media,
            category=category,
            generator=generator,
            per_prompt=per_prompt,
            seed=seed,
            num_prompts=num_prompts,
            batch_size=batch_size,
            progress=progress,
        )
    typer.echo(f"{len(videos)} clips of {generator} for {category}")


def train(
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Folder, name or hash of a dataset.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    generator: Annotated[str, typer.Option("--generator", "-g", help="What to fine-tune.")] = "tiny",
    name: Annotated[str | None, typer.Option(help="Name of the new generator.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the adapter.")] = None,
    beta: Annotated[float | None, typer.Option(help="Of the DPO loss.")] = None,
    aspect: Annotated[Aspect | None, typer.Option(help="Which aspect's labels to learn from.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Noise, timesteps and data order follow from it.")] = 0,
) -> None:
    """Fine-tune an adapter on a frozen dataset by DPO. Run it again to resume an interrupted run."""
    changes = {"steps": steps, "learning_rate": learning_rate, "beta": beta, "aspect": aspect}
    with terminal_progress() as progress:
        outcome = train_dataset(
            workspace,
            dataset=dataset,
            generator=generator,
            name=name,
            seed=seed,
            changes={key: value for key, value in changes.items() if value is not None},
            progress=progress,
        )
    typer.echo(f"run folder: {outcome.run_dir}")
    typer.echo(f"new generator: {outcome.generator.name}")


def run_round_command(
    category: Annotated[str, typer.Option("--category", "-c", help="The action category.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    generator: Annotated[
        str | None, typer.Option("--generator", "-g", help="Default: the newest of the category, else tiny.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds, one after the other.")] = 1,
    people: Annotated[
        int | None,
        typer.Option(min=1, help="Serve the app and wait until people have judged this many pairs."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to serve at while waiting for people; default: config.toml's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
) -> None:
    """Run whole rounds: sample, pair, judge, export, train, sample again, evaluate."""
    check_report_path(report)
    request = RoundsRequest(
        categories=(category,),
        generator=generator,
        rounds=rounds,
        people=people,
        port=port,
        config=RoundConfig(seed=seed),
    )
    with terminal_progress() as progress:
        result = run_rounds(workspace, request, progress=progress, say=typer.echo)
    typer.echo(result.as_text())
    if report is not None:
        report.write_text(result.as_json())


def demo(
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="A new folder.")] = Path(
        "demo-workspace"
    ),
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve the app at the end.")] = True,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds per category.")] = 1,
    category: Annotated[
        list[str] | None, typer.Option("--category", "-c", help="May be given several times.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    port: Annotated[int | None, typer.Option(help="Port to serve at; default: config.toml's.")] = None,
) -> None:
    """Run the whole loop on the tiny model in a new workspace, print how much it gained, and serve it."""
    config = DemoConfig(
        workspace=workspace,
        serve=serve,
        report=report,
        rounds=rounds,
        seed=seed,
        port=port,
        **({"categories": tuple(category)} if category else {}),
    )
    run_demo(config, say=typer.echo)
