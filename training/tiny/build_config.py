"""Sizes and schedules of the tiny model: everything that decides what the build makes, in one place.

The transformer sees 3 x 4 x 4 = 48 tokens per clip, one for 16x16 pixels times 4 frames: on a CPU the
number of tokens is what training costs, and 48 are enough for one object. Shapes of tensors: ``B`` clips,
``F`` frames, ``C`` channels, ``H`` and ``W`` height and width; pixels are -1..1 inside the networks.
"""

from dataclasses import dataclass, field

from training.tiny.flaws import BASE_RATES, FlawRates

Z_DIM = 32
SPATIAL_SCALE = 16
TEMPORAL_SCALE = 4
LATENT_SHAPE = (Z_DIM, 3, 4, 4)
"""Latents of one clip: ``[C, F, H, W]``."""
MAX_TEXT_TOKENS = 24
TEXT_DIM = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeSchedule:
    """How the autoencoder is trained."""

    steps: int = 3200
    """Optimizer steps."""
    batch: int = 6
    """Clips per step, drawn anew for every step."""
    muon_learning_rate: float = 0.02
    """Peak rate of Muon (matrices and convolutions); linear to zero in the last 60 % of the steps."""
    learning_rate: float = 2e-3
    """Peak rate of AdamW (everything else), on the same schedule."""
    object_weight: float = 4.0
    """Extra weight of pixels that differ from their frame's median colour, which is the background."""
    kl_weight: float = 1e-5
    """Weight of the KL term against the mean squared pixel error (both averaged)."""
    l1_weight: float = 0.1
    """Weight of the mean absolute pixel error, which keeps edges crisp."""
    rates: FlawRates = field(default_factory=lambda: BASE_RATES)
    """Flaws the autoencoder must be able to show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderSchedule:
    """How the decoder is trained on after the encoder is fixed."""

    steps: int = 2400
    """Optimizer steps."""
    batch: int = 6
    """Clips per step, drawn anew for every step."""
    muon_learning_rate: float = 0.012
    """Peak rate of Muon; linear to zero from the start."""
    learning_rate: float = 1.2e-3
    """Peak rate of AdamW, on the same schedule."""
    max_noise: float = 0.2
    """Noise on the latents, in standard deviations of their channel; drawn per clip from 0 up to this."""
    object_weight: float = 4.0
    """Extra weight of the object's pixels, as in ``VaeSchedule``."""
    l1_weight: float = 0.15
    """Weight of the mean absolute pixel error."""
    rates: FlawRates = field(default_factory=lambda: BASE_RATES)
    """Flaws the decoder must be able to show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerSchedule:
    """How the base text-to-video model (transformer and text encoder together) is trained."""

    clips: int = 20_000
    """Clips drawn and encoded once before training; their captions are drawn anew at every step."""
    steps: int = 2400
    """Optimizer steps."""
    batch: int = 64
    """Clips per step."""
    muon_learning_rate: float = 0.02
    """Peak rate of Muon (the matrices inside the blocks); linear to zero in the last 60 % of the steps."""
    learning_rate: float = 2e-3
    """Peak rate of AdamW (embeddings, norms, text encoder), on the same schedule."""
    ema_decay: float = 0.998
    """Decay per step of the averaged weights, which are the ones exported."""
    rates: FlawRates = field(default_factory=lambda: BASE_RATES)
    """How often the training data is wrong; the dial of the base model's quality."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticSchedule:
    """How the text critic is trained."""

    clips: int = 8000
    """Clips drawn once before training."""
    steps: int = 1800
    """Optimizer steps."""
    batch: int = 48
    """Clips per step."""
    learning_rate: float = 2e-3
    """Peak rate of AdamW; linear to zero in the last 60 % of the steps."""
    rates: FlawRates = field(default_factory=lambda: BASE_RATES)
    """How often clips have visual flaws."""


def vae_config() -> dict[str, object]:
    """Arguments of ``AutoencoderKLWan``; 4 of its 16x in space are pixel patches, as in the Wan 2.2 VAE."""
    return {
        "base_dim": 24,
        "decoder_base_dim": 28,
        "z_dim": Z_DIM,
        "dim_mult": [1, 2, 3],
        "num_res_blocks": 1,
        "temperal_downsample": [True, True],
        "latents_mean": [0.0] * Z_DIM,
        "latents_std": [1.0] * Z_DIM,
        "in_channels": 48,
        "out_channels": 48,
        "patch_size": 4,
        "scale_factor_temporal": TEMPORAL_SCALE,
        "scale_factor_spatial": SPATIAL_SCALE,
    }


def transformer_config() -> dict[str, object]:
    """Arguments of ``WanTransformer3DModel``."""
    return {
        "patch_size": (1, 1, 1),
        "num_attention_heads": 5,
        "attention_head_dim": 32,
        "in_channels": Z_DIM,
        "out_channels": Z_DIM,
        "text_dim": TEXT_DIM,
        "freq_dim": 128,
        "ffn_dim": 400,
        "num_layers": 6,
        "cross_attn_norm": True,
        "rope_max_seq_len": 64,
    }


def text_encoder_config(vocab_size: int) -> dict[str, object]:
    """Arguments of ``UMT5Config``."""
    return {
        "vocab_size": vocab_size,
        "d_model": TEXT_DIM,
        "d_kv": 16,
        "num_heads": 4,
        "d_ff": 128,
        "num_layers": 2,
        "dropout_rate": 0.0,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


SAMPLING: dict[str, object] = {
    "height": 64,
    "width": 64,
    "num_frames": 9,
    "fps": 8,
    "num_inference_steps": 14,
    "guidance_scale": 1.0,
    "max_sequence_length": MAX_TEXT_TOKENS,
    "lossless": True,
}
"""Settings the model is made for; saved beside it as ``sampling.json``."""
FLOW_SHIFT = 2.0
"""Shift of the noise levels, ``s t / (1 + (s - 1) t)``, in training as in sampling.

More of them lie near pure noise, where a clip's action is decided.
"""
