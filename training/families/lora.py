"""LoRA adapters as plain matrices: read from a loaded pipeline, folded into weights, stacked, saved.

A round trains a new adapter on top of its parent's. Both are low-rank updates of the same layers, so their
sum is one adapter whose rank is the sum of the ranks, exactly:

    W + s1 B1 A1 + s2 B2 A2 = W + [s1 B1 | s2 B2] [A1; A2]

That stacked adapter is what is saved: any diffusers program loads it on the model as published, whatever the
number of rounds behind it. The price is that the rank grows by the new adapter's rank each round.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class LowRank:
    """The update up @ down of one linear layer, in float32 on the CPU, with every scale inside `up`."""

    down: Tensor
    """[rank, inputs]"""
    up: Tensor
    """[outputs, rank]"""


Factors = Mapping[str, LowRank]
"""Per layer name, as in `network.named_modules()` before any adapter."""


def lora_layers(network: torch.nn.Module, adapter: str) -> Iterator[tuple[str, Any]]:
    """Yield name and module of each layer that carries the adapter, in the network's order."""
    for name, module in network.named_modules():
        if isinstance(module, LoraLayer) and adapter in module.lora_A:
            yield name, module


def read_factors(network: torch.nn.Module, adapter: str) -> dict[str, LowRank]:
    """Return copies of the matrices of a loaded adapter.

    Raises:
        TrainingError: it is no plain LoRA of linear layers (convolutions, biases or DoRA cannot be stacked).
    """
    factors: dict[str, LowRank] = {}
    for name, module in lora_layers(network, adapter):
        down, up = module.lora_A[adapter], module.lora_B[adapter]
        linear = isinstance(down, torch.nn.Linear) and up.bias is None
        if not linear or module.use_dora.get(adapter, False):
            raise TrainingError(f"layer {name} of the adapter is not plain LoRA of a linear layer")
        scale = float(module.scaling[adapter])
        factors[name] = LowRank(_copy(down.weight), _copy(up.weight) * scale)
    return factors


def fold(network: torch.nn.Module, factors: Factors) -> None:
    """Add the update to the weights, in place; meant for float32, where small updates survive."""
    with torch.no_grad():
        for name, factor in factors.items():
            weight = network.get_submodule(name).get_parameter("weight")
            weight.add_((factor.up @ factor.down).to(weight))


def stack(parent: Factors, child: Factors) -> dict[str, LowRank]:
    """Return one adapter that does what both do together; layers may be in either or in both."""
    stacked = dict(parent)
    for name, factor in child.items():
        below = parent.get(name)
        if below is not None:
            factor = LowRank(torch.cat([below.down, factor.down]), torch.cat([below.up, factor.up], dim=1))
        stacked[name] = factor
    return stacked


def to_state_dict(factors: Factors) -> dict[str, Tensor]:
    """Return the matrices under the names that diffusers loads; without alphas, which means scale 1."""
    state: dict[str, Tensor] = {}
    for name, factor in factors.items():
        state[f"{name}.lora_A.weight"] = factor.down.contiguous()
        state[f"{name}.lora_B.weight"] = factor.up.contiguous()
    return state


def _copy(weight: Tensor) -> Tensor:
    return weight.detach().to("cpu", torch.float32, copy=True)
