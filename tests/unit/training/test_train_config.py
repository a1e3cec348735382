"""Settings survive being written, and refuse what makes no sense before anything is computed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from training.config import TrainConfig, config_from_dict, config_to_dict, flow_dpo, tiny_dpo


def test_settings_survive_a_trip_through_json() -> None:
    config = flow_dpo(Path("data"), Path("run"), model="some/model", parent_adapter=Path("adapter"), seed=3)
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


def test_recipes_name_themselves_and_keep_what_they_are_given() -> None:
    config = tiny_dpo(Path("data"), Path("run"), parent_adapter=Path("before"), seed=9)
    assert (config.recipe, config.model, config.seed) == ("tiny_dpo", "tiny", 9)
    assert (config.dataset, config.run_dir, config.parent_adapter) == (
        Path("data"),
        Path("run"),
        Path("before"),
    )


def test_unknown_setting_is_named_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"learning_rat'.*learning_rate"):
        config_from_dict({"dataset": "d", "run_dir": "r", "learning_rat": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("accumulation", 0),
        ("lora_rank", 0),
        ("warmup_steps", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("beta", -1.0),
        ("held_out_fraction", 1.0),
        ("label_smoothing", 0.5),
        ("safeguard_mu", 1.0),
        ("keep", "first"),
        ("sft_weight", -0.1),
    ],
)
def test_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    config = TrainConfig(dataset=Path("d"), run_dir=Path("r"))
    with pytest.raises(ValueError, match=name):
        replace(config, **{name: value})  # type: ignore[arg-type]


def test_keeping_the_best_needs_held_out_pairs() -> None:
    with pytest.raises(ValueError, match="held_out_fraction"):
        TrainConfig(dataset=Path("d"), run_dir=Path("r"), keep="best", held_out_fraction=0.0)


def test_scale_is_alpha_over_rank() -> None:
    config = TrainConfig(dataset=Path("d"), run_dir=Path("r"), lora_rank=16)
    assert config.scale == 1.0
    assert replace(config, lora_alpha=32.0).scale == 2.0
