"""Measure the tiny model on held-out prompts: ``python -m training.tiny.evaluate``.

Writes JSON to standard output, per category and overall, and on request a contact sheet (PNG): one clip per
row, its frames from left to right, the prompt above.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import WanPipeline

from training.tiny import CATEGORIES, TinyPrompt, held_out_prompts, model_dir
from training.tiny.measure import Measurement, measure, score
from training.tiny.world import Frames

logger = logging.getLogger(__name__)

_MEASURED = ("right_action", "right_color", "flicker", "smoothness", "motion")
_CAPTION_HEIGHT_PX = 16


def load_pipeline(folder: Path, *, device: torch.device) -> WanPipeline:
    """Load the pipeline in float32, without progress bars."""
    pipeline = WanPipeline.from_pretrained(folder, torch_dtype=torch.float32).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def sample_clips(
    pipeline: WanPipeline, texts: Sequence[str], *, settings: dict[str, object], seed: int, batch: int = 16
) -> Frames:
    """Sample a clip per text, uint8 ``[N, F, H, W, 3]``; clip ``i`` starts from seed ``seed + i``."""
    wanted = {name: value for name, value in settings.items() if name not in ("fps", "lossless")}
    clips = []
    for start in range(0, len(texts), batch):
        part = list(texts[start : start + batch])
        generators = [torch.Generator().manual_seed(seed + start + i) for i in range(len(part))]
        sampled = pipeline(prompt=part, generator=generators, output_type="np", **wanted).frames
        clips.append(np.rint(np.asarray(sampled) * 255.0).astype(np.uint8))
        logger.info("sampled %d of %d clips", start + len(part), len(texts))
    return np.concatenate(clips)


def summarise(measurements: Sequence[Measurement]) -> dict[str, float]:
    """Average every measured part and the score; rounded to four places."""
    summary = {name: float(np.mean([getattr(m, name) for m in measurements])) for name in _MEASURED}
    summary["score"] = float(np.mean([score(m) for m in measurements]))
    return {name: round(value, 4) for name, value in summary.items()} | {"num_clips": len(measurements)}


def contact_sheet(clips: Frames, captions: Sequence[str], *, columns: int = 2) -> Frames:
    """Lay clips out in rows of frames with their caption above: uint8 RGB ``[height, width, 3]``."""
    strips = [_strip(clip, caption) for clip, caption in zip(clips, captions, strict=True)]
    while len(strips) % columns:
        strips.append(np.full_like(strips[0], 255))
    return np.vstack([np.hstack(strips[i : i + columns]) for i in range(0, len(strips), columns)])


def _strip(clip: Frames, caption: str) -> Frames:
    framed = [np.pad(frame, ((1, 1), (1, 1), (0, 0)), constant_values=255) for frame in clip]
    row = np.hstack(framed)
    title = np.full((_CAPTION_HEIGHT_PX, row.shape[1], 3), 255, np.uint8)
    cv2.putText(title, caption, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (30, 30, 30), 1, cv2.LINE_AA)
    side = np.full((_CAPTION_HEIGHT_PX + row.shape[0], 6, 3), 255, np.uint8)
    return np.hstack([np.vstack([title, row]), side])


def main(arguments: list[str] | None = None) -> None:
    """Sample, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=model_dir(), help="pipeline folder")
    parser.add_argument(
        "--num-prompts", type=int, default=200, help="held-out prompts, spread over the categories"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the prompts and of the first clip's noise")
    parser.add_argument("--sheet", type=Path, help="PNG to write: two clips of every category")
    parser.add_argument("--clips", type=Path, help="npz to write: clips and texts, for a closer look")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    settings = json.loads((options.model / "sampling.json").read_text())
    pipeline = load_pipeline(options.model, device=torch.device(options.device))
    per_category = -(-options.num_prompts // len(CATEGORIES))
    prompts = [p for c in CATEGORIES for p in held_out_prompts(c, per_category, options.seed)]
    clips = sample_clips(pipeline, [p.text for p in prompts], settings=settings, seed=options.seed)
    if options.sheet is not None:
        _write_sheet(options.sheet, clips, prompts, per_category)
    if options.clips is not None:
        np.savez_compressed(options.clips, clips=clips, texts=[p.text for p in prompts])
    sys.stdout.write(json.dumps(_report(clips, prompts), indent=2) + "\n")


def _report(clips: Frames, prompts: Sequence[TinyPrompt]) -> dict[str, dict[str, float]]:
    measured = [
        (p.action, measure(clip, action=p.action, color=p.color))
        for clip, p in zip(clips, prompts, strict=True)
    ]
    report = {name: summarise([m for action, m in measured if action == name]) for name in CATEGORIES}
    return report | {"overall": summarise([m for _, m in measured])}


def _write_sheet(path: Path, clips: Frames, prompts: Sequence[TinyPrompt], per_category: int) -> None:
    chosen = [c * per_category + i for c in range(len(CATEGORIES)) for i in range(min(2, per_category))]
    sheet = contact_sheet(clips[chosen], [prompts[i].text for i in chosen])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), sheet[..., ::-1]):
        raise OSError(f"could not write the contact sheet to {path}; give a writable path that ends in .png")


if __name__ == "__main__":
    main()
