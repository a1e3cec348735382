"""Write the built parts as one folder that ``WanPipeline.from_pretrained`` loads."""

import json
import os
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from training.tiny.build_config import FLOW_SHIFT, SAMPLING


def export_pipeline(
    folder: Path,
    *,
    vae: AutoencoderKLWan,
    transformer: WanTransformer3DModel,
    text_encoder: UMT5EncoderModel,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """Save the pipeline and its sampling settings, in place of whatever ``folder`` held before.

    Weights of the two large parts are stored in half precision (float16), which loads as float32. The text
    encoder stays in float32: transformers loads a model in the type it was stored in. The modules given are
    changed.
    """
    pipeline = WanPipeline(
        tokenizer=tokenizer,
        text_encoder=text_encoder.float(),
        vae=vae.to(torch.float16),
        transformer=transformer.to(torch.float16),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=FLOW_SHIFT),
    )
    aside = folder.with_name(folder.name + ".partial")
    shutil.rmtree(aside, ignore_errors=True)
    pipeline.save_pretrained(aside)
    for part in ("vae", "transformer"):
        _forget_where_it_was_built(aside / part / "config.json")
    (aside / "sampling.json").write_text(json.dumps(SAMPLING, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(aside, folder)


def _forget_where_it_was_built(config: Path) -> None:
    values = json.loads(config.read_text())
    values.pop("_name_or_path", None)
    config.write_text(json.dumps(values, indent=2) + "\n")
