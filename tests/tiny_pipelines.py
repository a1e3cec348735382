"""Random Wan pipelines of a few thousand parameters, made here: real diffusers classes without a download."""

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

WORDS = "a the red green blue yellow circle square triangle slides bounces grows spins left right and up down"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Of a random pipeline; the defaults make about 30 thousand parameters."""

    num_heads: int = 2
    head_dim: int = 12
    num_layers: int = 2
    ffn_dim: int = 32
    text_dim: int = 32
    text_layers: int = 2
    vae_dim: int = 3


def make_wan_pipeline(sizes: Sizes | None = None, *, seed: int = 0) -> WanPipeline:
    """Return a pipeline with random weights; 8x smaller in space and 4x in time, 16 latent channels."""
    sizes = sizes or Sizes()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        transformer = WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=sizes.num_heads,
            attention_head_dim=sizes.head_dim,
            in_channels=16,
            out_channels=16,
            text_dim=sizes.text_dim,
            freq_dim=256,
            ffn_dim=sizes.ffn_dim,
            num_layers=sizes.num_layers,
            rope_max_seq_len=32,
        )
        vae = AutoencoderKLWan(
            base_dim=sizes.vae_dim,
            z_dim=16,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            temperal_downsample=[False, True, True],
        )
        text_encoder = UMT5EncoderModel(_text_config(sizes))
    return WanPipeline(
        tokenizer=_tokenizer(),
        text_encoder=text_encoder.eval(),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        transformer=transformer.eval(),
    )


def save_wan_pipeline(folder: Path, sizes: Sizes | None = None, *, seed: int = 0) -> Path:
    """Write such a pipeline to `folder` and return it."""
    make_wan_pipeline(sizes, seed=seed).save_pretrained(folder)
    return folder


def _text_config(sizes: Sizes) -> UMT5Config:
    return UMT5Config(
        vocab_size=64,
        d_model=sizes.text_dim,
        d_kv=8,
        d_ff=sizes.text_dim,
        num_layers=sizes.text_layers,
        num_heads=4,
        dropout_rate=0.0,
    )


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator([WORDS], trainers.WordLevelTrainer(special_tokens=special, vocab_size=64))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )
