"""Time and peak memory of one preference step, against the way published trainers do it.

    python -m benchmarks.dpo_step --repeats 5

Three ways on the same weights, pairs, draws and optimizer, each in a process of its own, taken in turns:

- `ours`: cached latents and embeddings, one forward for winner and loser, the network without its adapter as
  reference;
- `published`: clips and prompts encoded at every step, four separate forwards, a deep copy as reference;
- `published_cached`: the same with our cache, to tell what the cache alone brings.

Prints one JSON object. Every way must arrive at the same losses; `loss_difference` says how nearly. On a busy
machine the processor seconds tell more than the clock.
"""

import argparse
import copy
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIANTS = ("ours", "published", "published_cached")
BETA = 500.0
RANK = 16


def main() -> None:
    arguments = _arguments()
    if arguments.variant:
        print(json.dumps(_measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.model == "random":
            arguments.model = _make_model(Path(folder) / "model", arguments)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in VARIANTS}
        for _ in range(arguments.repeats):
            for name in VARIANTS:
                runs[name].append(_run(name, arguments, folder))
    print(json.dumps(_summary(runs, arguments), indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", default="tiny", help="'tiny', 'random' (16 M parameters), or a pipeline folder"
    )
    parser.add_argument("--size", type=int, default=128, help="height and width of the random model's clips")
    parser.add_argument("--frames", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=4, help="pairs per step")
    parser.add_argument(
        "--steps", type=int, default=8, help="timed steps per process, after two warm-up steps"
    )
    parser.add_argument("--repeats", type=int, default=3, help="processes per variant")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--cache", help=argparse.SUPPRESS)
    return parser.parse_args()


def _make_model(folder: Path, arguments: argparse.Namespace) -> str:
    from tests.tiny_pipelines import Sizes, save_wan_pipeline

    sizes = Sizes(
        num_heads=6, head_dim=64, num_layers=6, ffn_dim=1536, text_dim=128, text_layers=4, vae_dim=16
    )
    save_wan_pipeline(folder, sizes)
    sampling = {"height": arguments.size, "width": arguments.size, "num_frames": arguments.frames, "fps": 8}
    (folder / "sampling.json").write_text(json.dumps({**sampling, "max_sequence_length": 64}))
    return str(folder)


def _run(variant: str, arguments: argparse.Namespace, folder: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.dpo_step", "--variant", variant, "--cache", folder]
    for name in ("model", "size", "frames", "pairs", "steps", "threads", "device"):
        command += [f"--{name}", str(getattr(arguments, name))]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return result


def _summary(runs: dict[str, list[dict[str, Any]]], arguments: argparse.Namespace) -> dict[str, Any]:
    summary: dict[str, Any] = {"model": runs["ours"][0]["model"], "pairs": arguments.pairs}
    for name, results in runs.items():
        summary[name] = {
            "seconds_per_step": _median(results, "seconds"),
            "cpu_seconds_per_step": _median(results, "cpu_seconds"),
            "peak_memory_mib": statistics.median(result["peak_mib"] for result in results),
            "weights_mib": results[0]["weights_mib"],
            "denoiser_copies": results[0]["denoiser_copies"],
        }
    for name in VARIANTS[1:]:
        for clock in ("seconds", "cpu_seconds"):
            ratio = summary["ours"][f"{clock}_per_step"] / summary[name][f"{clock}_per_step"]
            summary[f"{clock}_ours_over_{name}"] = round(ratio, 3)
    losses = [results[0]["losses"] for results in runs.values()]
    summary["loss_difference"] = max(
        abs(a - b) for other in losses[1:] for a, b in zip(losses[0], other, strict=True)
    )
    summary["losses"] = losses[0]
    return summary


def _median(results: list[dict[str, Any]], name: str) -> float:
    return round(statistics.median(value for result in results for value in result[name]), 4)


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    torch.set_num_threads(arguments.threads)
    from tests.pair_datasets import make_dataset
    from training.data import training_pairs
    from training.families.load import load_family
    from training.latents import build_cache

    family = load_family(arguments.model, device=arguments.device)
    settings = family.defaults
    size = (settings.num_frames, settings.height_px, settings.width_px)
    dataset = make_dataset(Path("random"), num_prompts=6, pairs_per_prompt=1, size=size)
    pairs = training_pairs(dataset, "overall")
    cache = build_cache(
        family, dataset, pairs, settings, Path(arguments.cache) / "latents", dataset_hash="random"
    )
    family.add_adapter(rank=RANK, scale=1.0, seed=0)
    parameters = list(family.adapter_parameters().values())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0)
    make_errors = _ours if arguments.variant == "ours" else _published
    errors_of = make_errors(family, cache, dataset, settings, cached=arguments.variant == "published_cached")
    clocks, losses = _steps(errors_of, pairs, parameters, optimizer, arguments)
    return {
        "seconds": [wall for wall, _ in clocks],
        "cpu_seconds": [cpu for _, cpu in clocks],
        "losses": losses,
        "peak_mib": _peak_mib(arguments.device),
        "model": _describe(family, settings),
        **_weights(family),
    }


def _steps(
    errors_of: Callable[..., Any],
    pairs: list[Any],
    parameters: list[Any],
    optimizer: Any,
    arguments: argparse.Namespace,
) -> tuple[list[tuple[float, float]], list[float]]:
    import torch

    from training.data import items_of_step
    from training.losses import dpo_loss

    clocks, losses = [], []
    for step in range(arguments.steps + 2):
        began, began_cpu = time.perf_counter(), time.process_time()
        items = items_of_step(pairs, seed=0, first=step * arguments.pairs, count=arguments.pairs)
        terms = dpo_loss(errors_of(items), beta=BETA)
        terms.loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(terms.loss.item())
        if step >= 2:
            clocks.append((time.perf_counter() - began, time.process_time() - began_cpu))
    return clocks, losses


def _ours(family: Any, cache: Any, dataset: Any, settings: Any, *, cached: bool) -> Callable[..., Any]:
    from training.draws import TimestepConfig
    from training.preference_step import make_batch, pair_errors

    def errors_of(items: list[Any]) -> Any:
        batch = make_batch(
            items,
            cache,
            seed=0,
            timestep=TimestepConfig(),
            max_sequence_length=settings.max_sequence_length,
            device=family.device,
        )
        return pair_errors(family, batch)[0]

    return errors_of


def _published(family: Any, cache: Any, dataset: Any, settings: Any, *, cached: bool) -> Callable[..., Any]:
    """Encode at every step (unless `cached`), then run each network on each clip of a pair apart."""
    import numpy as np
    import torch

    from training.draws import TimestepConfig, pair_noise, pair_timestep
    from training.families.family import pad_embeddings
    from training.losses import PairErrors, clip_errors

    policy = family.network
    reference = copy.deepcopy(policy).requires_grad_(False)
    reference.disable_adapters()

    def latents(video_ids: list[str]) -> Any:
        if cached:
            return torch.stack([cache.latents(video_id) for video_id in video_ids]).to(family.device)
        return family.encode_videos(np.stack([dataset.frames(video_id) for video_id in video_ids])).to(
            family.device
        )

    def prompts(texts: list[str]) -> Any:
        length = settings.max_sequence_length
        found = [cache.prompt(text) for text in texts] if cached else family.encode_prompts(texts, length)
        return pad_embeddings(found, length).to(family.device)

    def errors(network: Any, noised: Any, t: Any, embeds: Any, target: Any) -> Any:
        family.network = network
        return clip_errors(family.predict(noised, t, embeds), target)

    def errors_of(items: list[Any]) -> Any:
        shape = family.latent_shape(settings)
        keys = [(0, item.pair.pair_id, item.draw_number) for item in items]
        noise = torch.from_numpy(np.stack([pair_noise(*key, shape) for key in keys])).to(family.device)
        t = torch.tensor([pair_timestep(*key, TimestepConfig()) for key in keys], device=family.device)
        embeds = prompts([item.pair.prompt for item in items])
        clips = [latents([i.pair.winner_id for i in items]), latents([i.pair.loser_id for i in items])]
        pieces = [(family.noised(x, noise, t), t, embeds, family.target(x, noise)) for x in clips]
        with torch.no_grad():
            ours = [errors(reference, *piece) for piece in pieces]
        return PairErrors(*[errors(policy, *piece) for piece in pieces], *ours)

    errors_of.reference = reference  # type: ignore[attr-defined]  # kept alive as long as the step is
    return errors_of


def _weights(family: Any) -> dict[str, Any]:
    """Return the megabytes of all live weights, and how many denoisers hold them."""
    import torch
    from diffusers import WanTransformer3DModel

    live = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.nn.Module)]
    storages = {
        p.data_ptr(): p.numel() * p.element_size()
        for module in live
        for p in module.parameters(recurse=False)
    }
    copies = sum(isinstance(module, WanTransformer3DModel) for module in live)
    return {"weights_mib": round(sum(storages.values()) / 2**20, 1), "denoiser_copies": copies}


def _peak_mib(device: str) -> float:
    import torch

    if device.startswith("cuda"):
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _describe(family: Any, settings: Any) -> dict[str, Any]:
    total = sum(p.numel() for name, p in family.network.named_parameters() if "lora" not in name)
    return {"name": Path(family.model).name, "denoiser_parameters": total, **settings.to_dict()}


if __name__ == "__main__":
    main()
