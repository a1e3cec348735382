"""Make the tiny text-to-video model from nothing: ``python -m training.tiny.build --out DIR --seed 0``.

Runs on a CPU or a GPU. Stopped, it goes on where it was: checkpoints lie in ``DIR/work``, results in
``DIR/model`` and ``DIR/critic``. The folders shipped beside this file are what it makes; docs/tiny-model.md
has the command and minutes.
"""

import argparse
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import UMT5EncoderModel

from training.tiny.build_checkpoint import load_checkpoint, save_checkpoint
from training.tiny.build_config import CriticSchedule, DecoderSchedule, TransformerSchedule, VaeSchedule
from training.tiny.build_critic import build_critic
from training.tiny.build_export import export_pipeline
from training.tiny.build_text import build_tokenizer
from training.tiny.build_transformer import EncodedClips, build_transformer, draw_encoded_clips
from training.tiny.build_vae import build_vae, sharpen_decoder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """Where a build lies and what it depends on."""

    out: Path
    """Folder of the build."""
    seed: int
    """Seed of everything drawn."""
    device: torch.device
    """Where the networks are trained."""

    @property
    def work(self) -> Path:
        """Checkpoints and intermediate results."""
        return self.out / "work"


def make_vae(build: Build) -> None:
    """Train the autoencoder."""
    vae = build_vae(build.work, schedule=VaeSchedule(), seed=build.seed, device=build.device)
    vae.save_pretrained(build.work / "vae")


def make_decoder(build: Build) -> None:
    """Train the decoder further; the transformer stage needs none of it and may run at the same time."""
    vae = _saved_vae(build, "vae")
    sharpen_decoder(vae, build.work, schedule=DecoderSchedule(), seed=build.seed, device=build.device)
    vae.save_pretrained(build.work / "vae_sharp")


def make_transformer(build: Build) -> None:
    """Train transformer and text encoder together on encoded clips."""
    schedule = TransformerSchedule()
    tokenizer = build_tokenizer()
    model = build_transformer(
        build.work,
        _encoded_clips(build, _saved_vae(build, "vae"), schedule),
        tokenizer,
        schedule=schedule,
        seed=build.seed,
        device=build.device,
    )
    model.transformer.save_pretrained(build.work / "transformer")
    model.text_encoder.save_pretrained(build.work / "text_encoder")


def make_pipeline(build: Build) -> None:
    """Put the trained parts together."""
    export_pipeline(
        build.out / "model",
        vae=_saved_vae(build, "vae_sharp").cpu(),
        transformer=WanTransformer3DModel.from_pretrained(build.work / "transformer"),
        text_encoder=UMT5EncoderModel.from_pretrained(build.work / "text_encoder"),
        tokenizer=build_tokenizer(),
    )


def make_critic(build: Build) -> None:
    """Train the text critic."""
    build_critic(
        build.out / "critic" / "critic.safetensors",
        _saved_vae(build, "vae_sharp"),
        schedule=CriticSchedule(),
        work=build.work,
        seed=build.seed,
        device=build.device,
    )


STAGES: dict[str, Callable[[Build], None]] = {
    "vae": make_vae,
    "decoder": make_decoder,
    "transformer": make_transformer,
    "pipeline": make_pipeline,
    "critic": make_critic,
}


def main(arguments: list[str] | None = None) -> None:
    """Run one stage of the build, or all of them in order."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the build; made where it is missing"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto: cuda where there is one")
    parser.add_argument(
        "--stage", choices=[*STAGES, "all"], default="all", help="later stages need the earlier"
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="CPU threads; results depend on it in the last bits"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    found = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(found if options.device == "auto" else options.device)
    build = Build(out=options.out, seed=options.seed, device=device)
    for name, make in STAGES.items():
        if options.stage in (name, "all"):
            logger.info("stage %s on %s", name, device)
            make(build)


def _saved_vae(build: Build, name: str) -> AutoencoderKLWan:
    folder = build.work / name
    if not folder.is_dir():
        raise SystemExit(
            f"no trained autoencoder in {folder}; run the stages before this one with the same --out"
        )
    return AutoencoderKLWan.from_pretrained(folder).to(build.device).eval()


def _encoded_clips(build: Build, vae: AutoencoderKLWan, schedule: TransformerSchedule) -> EncodedClips:
    """Encode the training clips, or read those that an earlier run of the stage encoded."""
    path = build.work / "latents.pt"
    state = load_checkpoint(path)
    if state is None:
        logger.info("drawing and encoding %d clips", schedule.clips)
        clips = draw_encoded_clips(
            vae, count=schedule.clips, rates=schedule.rates, seed=build.seed, device=build.device
        )
        save_checkpoint(path, clips._asdict())
        return clips
    return EncodedClips(latents=state["latents"], labels=[tuple(label) for label in state["labels"]])


if __name__ == "__main__":
    main()
