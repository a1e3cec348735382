"""Wan 2.1 text-to-video (diffusers `WanPipeline`): rectified flow on latents [B, C, T, h, w].

x_t = (1 - t) x_0 + t e, and the network predicts e - x_0 at timestep 1000 t. Latents are normalised by the
mean and standard deviation per channel that the autoencoder's settings hold.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from diffusers import WanPipeline
from diffusers.utils import logging as diffusers_logging
from peft import LoraConfig
from torch import Tensor
from transformers.utils import logging as transformers_logging

from training.draws import weight_noise
from training.errors import TrainingError
from training.families.family import Frames, SampleSettings, read_sample_settings
from training.families.hashes import file_sha256, folder_hash
from training.families.lora import Factors, fold, lora_layers, read_factors, stack, to_state_dict

ENCODER_PARTS = ("vae", "text_encoder", "tokenizer")
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
POLICY = "policy"
PARENT = "parent"
ADAPTER_FILE = "pytorch_lora_weights.safetensors"
PUBLISHED_DEFAULTS = SampleSettings(
    height_px=480, width_px=832, num_frames=81, fps=16.0, num_inference_steps=50, guidance_scale=5.0
)


class WanFamily:
    """A `VideoFamily` over a `WanPipeline`."""

    name = "wan"

    def __init__(
        self, pipeline: WanPipeline, *, model: str, folder: Path, device: torch.device, dtype: torch.dtype
    ):
        _refuse_two_experts(pipeline, model)
        self.model = model
        self.device = device
        self.model_hash = folder_hash(folder, (*ENCODER_PARTS, "transformer", "scheduler"))
        self.encoder_hash = folder_hash(folder, ENCODER_PARTS)
        self.adapter_hash = ""
        self.defaults = _sample_defaults(pipeline, folder)
        self._pipeline = pipeline
        self._dtype = dtype
        self._parent: Factors = {}
        self._transformer: torch.nn.Module = pipeline.transformer.requires_grad_(False).eval().to(device)
        pipeline.vae.requires_grad_(False).eval()
        pipeline.text_encoder.requires_grad_(False).eval()
        pipeline.set_progress_bar_config(disable=True)
        self.network = self._transformer

    @classmethod
    def load(
        cls, folder: Path, *, model: str, adapter: Path | None, device: torch.device, dtype: torch.dtype
    ) -> "WanFamily":
        """Load a pipeline folder, with an adapter on top where one is given.

        Raises:
            TrainingError: the folder holds no Wan pipeline, or the adapter does not fit it.
        """
        try:
            with _no_progress_bars():
                # The autoencoder stays in float32: in lower precision clips and latents get visibly worse.
                pipeline = WanPipeline.from_pretrained(folder, dtype={"default": dtype, "vae": torch.float32})
        except (OSError, ValueError) as error:
            raise TrainingError(f"cannot load a Wan pipeline from {folder}: {error}") from error
        family = cls(pipeline, model=model, folder=folder, device=device, dtype=dtype)
        if adapter is not None:
            family._load_parent(adapter)
        return family

    def latent_shape(self, settings: SampleSettings) -> tuple[int, int, int, int]:
        """Return [C, T, h, w]; see `VideoFamily`."""
        config = self._pipeline.transformer.config
        space, time = self._pipeline.vae_scale_factor_spatial, self._pipeline.vae_scale_factor_temporal
        tall, wide = space * config.patch_size[1], space * config.patch_size[2]
        if settings.height_px % tall or settings.width_px % wide:
            size = f"{settings.width_px}x{settings.height_px}"
            raise TrainingError(f"clips of {size} do not fit {self.model}: use multiples of {wide}x{tall}")
        if settings.num_frames % time != 1:
            raise TrainingError(
                f"{settings.num_frames} frames do not fit {self.model}: use a multiple of {time}, plus 1"
            )
        num_latents = (settings.num_frames - 1) // time + 1
        return int(config.in_channels), num_latents, settings.height_px // space, settings.width_px // space

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str], max_sequence_length: int) -> list[Tensor]:
        """Return one embedding [L, D] per prompt; see `VideoFamily`."""
        self._pipeline.text_encoder.to(self.device)
        embeds, _ = self._pipeline.encode_prompt(
            prompt=list(prompts),
            do_classifier_free_guidance=False,
            max_sequence_length=max_sequence_length,
            device=self.device,
        )
        return [_without_padding(embedding).cpu() for embedding in embeds]

    @torch.no_grad()
    def encode_videos(self, frames: Frames) -> Tensor:
        """Return normalised latents; see `VideoFamily`."""
        vae = self._pipeline.vae.to(self.device)
        pixels = torch.from_numpy(frames).to(self.device).permute(0, 4, 1, 2, 3).to(vae.dtype) / 127.5 - 1.0
        mean, std = self._latent_statistics()
        latents: Tensor = vae.encode(pixels).latent_dist.mean.float().cpu()
        return (latents - mean) / std

    def rest_encoders(self) -> None:
        """Move autoencoder and text encoder off the accelerator; see `VideoFamily`."""
        self._pipeline.vae.to("cpu")
        self._pipeline.text_encoder.to("cpu")

    def noised(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return (1 - t) x_0 + t e."""
        t = t.view(-1, 1, 1, 1, 1)
        return (1.0 - t) * latents + t * noise

    def target(self, latents: Tensor, noise: Tensor) -> Tensor:
        """Return e - x_0."""
        return noise - latents

    def predict(self, noised: Tensor, t: Tensor, prompt_embeds: Tensor) -> Tensor:
        """Return the predicted velocity in float32; see `VideoFamily`."""
        with torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32):
            prediction: Tensor = self.network(
                hidden_states=noised.to(self._dtype),
                timestep=t * 1000.0,
                encoder_hidden_states=prompt_embeds.to(self._dtype),
                return_dict=False,
            )[0]
        return prediction.float()

    @torch.no_grad()
    def sample(self, prompts: Sequence[str], noise: Tensor, settings: SampleSettings) -> Frames:
        """Return frames made by the pipeline itself; see `VideoFamily`."""
        self._pipeline.to(self.device)
        guided = settings.guidance_scale > 1.0
        video: np.ndarray = self._pipeline(
            prompt=list(prompts),
            negative_prompt=[settings.negative_prompt] * len(prompts) if guided else None,
            latents=noise.to(self.device, torch.float32),
            height=settings.height_px,
            width=settings.width_px,
            num_frames=settings.num_frames,
            num_inference_steps=settings.num_inference_steps,
            guidance_scale=settings.guidance_scale,
            max_sequence_length=settings.max_sequence_length,
            output_type="np",
        ).frames
        return np.asarray(np.rint(np.clip(video, 0.0, 1.0) * 255.0), dtype=np.uint8)

    def add_adapter(self, *, rank: int, scale: float, seed: int) -> None:
        """Add LoRA to the attention projections: `down` normal with deviation 1 / rank, `up` zero.

        Raises:
            TrainingError: the parent adapter could not be folded into the weights (see `_load_parent`).
        """
        if self.adapter_hash and not self._parent:
            raise TrainingError(
                f"a parent adapter can only be trained on in float32, got {self._dtype}: "
                "folding it into weights of lower precision would round it away. Use dtype float32"
            )
        config = LoraConfig(r=rank, lora_alpha=rank * scale, target_modules=list(LORA_TARGETS))
        self._pipeline.transformer.add_adapter(config, adapter_name=POLICY)
        with torch.no_grad():
            for name, module in lora_layers(self._transformer, POLICY):
                down, up = module.lora_A[POLICY].weight, module.lora_B[POLICY].weight
                start = torch.from_numpy(weight_noise(seed, name, tuple(down.shape)))
                down.data = start.to(self.device) / rank
                up.data = torch.zeros_like(up, dtype=torch.float32)

    def adapter_parameters(self) -> dict[str, torch.nn.Parameter]:
        """Return the new adapter's parameters by name; see `VideoFamily`."""
        marks = (f".lora_A.{POLICY}.", f".lora_B.{POLICY}.")
        return {n: p for n, p in self._transformer.named_parameters() if any(mark in n for mark in marks)}

    @contextmanager
    def adapter_off(self) -> Iterator[None]:
        """Inside, the network is the reference; see `VideoFamily`."""
        self._pipeline.transformer.disable_adapters()
        try:
            yield
        finally:
            # Left off, the backward pass would skip the adapter without a word.
            self._pipeline.transformer.enable_adapters()

    def save_adapter(self, folder: Path) -> None:
        """Write the stacked adapter as diffusers' `load_lora_weights` reads it."""
        factors = stack(self._parent, read_factors(self._transformer, POLICY))
        WanPipeline.save_lora_weights(
            folder, transformer_lora_layers=to_state_dict(factors), weight_name=ADAPTER_FILE
        )

    def enable_gradient_checkpointing(self) -> None:
        """Recompute activations in the backward pass."""
        self._pipeline.transformer.enable_gradient_checkpointing()

    def _load_parent(self, folder: Path) -> None:
        path = folder / ADAPTER_FILE if folder.is_dir() else folder
        if not path.is_file():
            raise TrainingError(f"no adapter at {folder}: expected a folder with {ADAPTER_FILE}")
        self._pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name=PARENT)
        factors = read_factors(self._transformer, PARENT)
        if not factors:
            raise TrainingError(f"the adapter {path} has no layer of the model {self.model}")
        self.adapter_hash = file_sha256(path)
        if self._dtype == torch.float32:
            self._pipeline.unload_lora_weights()
            fold(self._transformer, factors)
            self._parent = factors

    def _latent_statistics(self) -> tuple[Tensor, Tensor]:
        config = self._pipeline.vae.config
        mean, std = torch.tensor(config.latents_mean), torch.tensor(config.latents_std)
        return mean.view(1, -1, 1, 1, 1), std.view(1, -1, 1, 1, 1)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        diffusers_logging.enable_progress_bar()
        transformers_logging.enable_progress_bar()


def _refuse_two_experts(pipeline: WanPipeline, model: str) -> None:
    config = pipeline.config
    if pipeline.transformer_2 is not None or config.boundary_ratio is not None or config.expand_timesteps:
        raise TrainingError(
            f"{model} is a Wan 2.2 pipeline (two experts or a timestep per token), "
            "which is not supported; use Wan 2.1"
        )


def _sample_defaults(pipeline: WanPipeline, folder: Path) -> SampleSettings:
    path = folder / "sampling.json"
    if path.is_file():
        return read_sample_settings(path, PUBLISHED_DEFAULTS)
    return PUBLISHED_DEFAULTS


def _without_padding(embedding: Tensor) -> Tensor:
    """Cut the zero rows that the pipeline pads with; real tokens never embed to exact zeros."""
    used = int(embedding.ne(0).any(dim=1).sum())
    return embedding[:used].clone()
