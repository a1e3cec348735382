"""What must hold for every family and every batch: no weights of a real model are needed to check it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from tests.pair_datasets import FakeDataset, make_dataset
from tests.tiny_pipelines import save_wan_pipeline
from training.data import Item, training_pairs
from training.draws import TimestepConfig
from training.families.family import SampleSettings, VideoFamily
from training.families.load import load_family
from training.latents import LatentCache, build_cache
from training.losses import PairErrors, dpo_loss
from training.preference_step import make_batch, pair_errors

SETTINGS = SampleSettings(
    height_px=32, width_px=32, num_frames=9, fps=8.0, num_inference_steps=3, max_sequence_length=16
)
SCHEDULERS = {
    "euler": FlowMatchEulerDiscreteScheduler(shift=1.0),
    "euler shifted": FlowMatchEulerDiscreteScheduler(shift=3.0),
    "unipc": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
}


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> VideoFamily:
    folder = save_wan_pipeline(tmp_path_factory.mktemp("wan"))
    (folder / "sampling.json").write_text(json.dumps({**SETTINGS.to_dict()}))
    family = load_family(str(folder), device="cpu")
    family.add_adapter(rank=4, scale=1.0, seed=0)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in family.adapter_parameters().values():
            parameter += 0.05 * torch.randn(parameter.shape, generator=random)
    return family


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> FakeDataset:
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def cache(family: VideoFamily, dataset: FakeDataset, tmp_path_factory: pytest.TempPathFactory) -> LatentCache:
    pairs = training_pairs(dataset, "overall")
    return build_cache(family, dataset, pairs, SETTINGS, tmp_path_factory.mktemp("cache"), dataset_hash="d")


def errors_of(family: VideoFamily, cache: LatentCache, items: list[Item]) -> PairErrors:
    batch = make_batch(
        items,
        cache,
        seed=0,
        timestep=TimestepConfig(),
        max_sequence_length=16,
        device=torch.device("cpu"),
    )
    return pair_errors(family, batch)[0]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_scheduler_that_is_given_the_training_target_returns_the_clean_clip(
    family: VideoFamily, name: str
) -> None:
    """The family's noising, target and time scale agree with the scheduler that samples with its network."""
    random = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(2, 16, 3, 4, 4, generator=random) for _ in range(2))
    scheduler = SCHEDULERS[name]
    scheduler.set_timesteps(10)
    latents = noise
    for t in scheduler.timesteps:
        latents = scheduler.step(family.target(clean, noise), t, latents, return_dict=False)[0]
    assert torch.allclose(latents, clean, atol=2e-5)


@pytest.mark.parametrize("index", [0, 4, 9])
def test_noised_latents_are_what_the_scheduler_makes_at_that_timestep(
    family: VideoFamily, index: int
) -> None:
    random = torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(2, 16, 3, 4, 4, generator=random) for _ in range(2))
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(10)
    timestep = scheduler.timesteps[index]
    expected = scheduler.scale_noise(clean, timestep[None], noise)
    ours = family.noised(clean, noise, (timestep / 1000).expand(2))
    assert torch.allclose(ours, expected, atol=1e-6)


def test_network_is_called_at_a_thousand_times_t(
    family: VideoFamily, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    forward = family.network.forward

    def spy(*args: object, **kwargs: object) -> object:
        seen.append(kwargs["timestep"])  # type: ignore[arg-type]
        return forward(*args, **kwargs)

    monkeypatch.setattr(family.network, "forward", spy)
    latents = torch.zeros(2, 16, 3, 4, 4)
    family.predict(latents, torch.tensor([0.25, 0.5]), torch.zeros(2, 16, 32))
    assert seen[0].tolist() == [250.0, 500.0]


def test_winner_and_loser_share_noise_time_and_prompt(cache: LatentCache, dataset: FakeDataset) -> None:
    items = [Item(pair, 3) for pair in training_pairs(dataset, "overall")[:3]]
    batch = make_batch(
        items,
        cache,
        seed=0,
        timestep=TimestepConfig(),
        max_sequence_length=16,
        device=torch.device("cpu"),
    )
    for shared in (batch.noise, batch.t, batch.prompt_embeds):
        assert torch.equal(shared[:3], shared[3:])
    assert not torch.equal(batch.latents[:3], batch.latents[3:])
    assert torch.equal(batch.latents[1], cache.latents(items[1].pair.winner_id))
    assert torch.equal(batch.latents[4], cache.latents(items[1].pair.loser_id))


def test_errors_of_a_pair_do_not_depend_on_its_batch(
    family: VideoFamily, cache: LatentCache, dataset: FakeDataset
) -> None:
    items = [Item(pair, 1) for pair in training_pairs(dataset, "overall")]
    together = errors_of(family, cache, items)
    alone = [errors_of(family, cache, [item]) for item in items]
    for name in PairErrors._fields:
        single = torch.cat([getattr(errors, name) for errors in alone])
        assert torch.allclose(getattr(together, name), single, atol=1e-5), name


def test_reference_errors_can_be_computed_once_and_kept(
    family: VideoFamily, cache: LatentCache, dataset: FakeDataset
) -> None:
    """Counter-based draws make them a fixed column: the same bits on every visit of the same draw."""
    items = [Item(pair, 2) for pair in training_pairs(dataset, "overall")[:4]]
    first, second = (errors_of(family, cache, items) for _ in range(2))
    assert torch.equal(first.reference_winner, second.reference_winner)
    assert torch.equal(first.reference_loser, second.reference_loser)


def test_swapping_winner_and_loser_negates_the_margin_through_the_network(
    family: VideoFamily, cache: LatentCache, dataset: FakeDataset
) -> None:
    from dataclasses import replace

    pairs = training_pairs(dataset, "overall")[:4]
    swapped = [replace(pair, winner_id=pair.loser_id, loser_id=pair.winner_id) for pair in pairs]
    there = dpo_loss(errors_of(family, cache, [Item(pair, 0) for pair in pairs]), beta=100.0)
    back = dpo_loss(errors_of(family, cache, [Item(pair, 0) for pair in swapped]), beta=100.0)
    assert torch.allclose(there.inside, -back.inside, atol=1e-4)
    assert there.inside.abs().max() > 1e-3


def test_sharing_noise_within_a_pair_makes_the_margin_less_noisy(
    family: VideoFamily, cache: LatentCache, dataset: FakeDataset
) -> None:
    """Own noise and time per clip, as in some published code, needs more draws for the same precision."""
    pair = training_pairs(dataset, "overall")[0]
    errors = errors_of(family, cache, [Item(pair, draw) for draw in range(64)])
    win = (errors.policy_winner - errors.reference_winner).detach().numpy()
    lose = (errors.policy_loser - errors.reference_loser).detach().numpy()
    shared, apart = np.std(win - lose), np.std(win - np.roll(lose, 1))
    assert shared < apart


def test_only_the_adapter_gets_a_gradient(
    family: VideoFamily, cache: LatentCache, dataset: FakeDataset
) -> None:
    items = [Item(pair, 0) for pair in training_pairs(dataset, "overall")[:2]]
    dpo_loss(errors_of(family, cache, items), beta=100.0).loss.backward()
    adapter = set(family.adapter_parameters())
    for name, parameter in family.network.named_parameters():
        assert (parameter.grad is not None) == (name in adapter), name
    family.network.zero_grad(set_to_none=True)


def test_package_names_one_home_for_every_random_number() -> None:
    """A running generator anywhere else would break resuming."""
    root = Path(__file__).resolve().parents[2] / "training"
    files = [path for path in root.rglob("*.py") if "tiny" not in path.relative_to(root).parts]
    for path in files:
        text = path.read_text()
        for word in (
            "torch.randn",
            "torch.rand(",
            "np.random.rand",
            "default_rng",
            "random.shuffle",
            "manual_seed",
        ):
            assert word not in text, f"{path.name} draws with {word}; use training.draws"
