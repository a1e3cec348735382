"""A small workspace with clips, pairs and people, made through the storage API, and a server for it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.accounts import add_user, create_token
from app.config import ServerConfig
from storage.clips import Frames
from storage.media import MediaStore
from storage.records import (
    Generator,
    Media,
    Pair,
    Prompt,
    Record,
    Role,
    Video,
    VideoMedia,
    record_id,
)
from storage.space import SpaceGuard
from storage.store import Store
from storage.workspace import Workspace

GENERATOR_NAMES = ("quokka-base", "quokka-tuned")
"""Words that occur nowhere else, so that a test can look for them in what a rater's browser was sent."""

PASSWORD = "correct horse battery"
FPS = 8.0


def moving_square(*, color: tuple[int, int, int], num_frames: int = 9, size_px: int = 64) -> Frames:
    """Return uint8 frames [F, H, W, 3] of a square that slides to the right."""
    frames = np.full((num_frames, size_px, size_px, 3), 24, dtype=np.uint8)
    for number in range(num_frames):
        left = 4 + number * (size_px - 24) // num_frames
        frames[number, 24:40, left : left + 16] = color
    return frames


@dataclass(frozen=True)
class Fixture:
    """What was put into the workspace."""

    root: Path
    prompts: list[Prompt]
    pairs: list[Pair]
    videos: list[Video]
    tokens: dict[str, str]


def make_workspace(
    root: Path,
    *,
    prompt_texts: Sequence[str] = ("a red square slides right", "a blue square slides right"),
    categories: Sequence[str] = ("slide", "bounce"),
    raters_per_pair: int = 2,
    annotators: Sequence[str] = ("ann", "bob"),
    num_frames: int = 9,
) -> Fixture:
    """Make a workspace with one pair per prompt, made by two generators, and the people of every role."""
    workspace = Workspace.create(root)
    with Store.open(root) as store:
        generators = [
            Generator(
                generator_id=record_id("generator", name), name=name, family="wan", model="tiny", round=number
            )
            for number, name in enumerate(GENERATOR_NAMES)
        ]
        prompts = [
            Prompt(
                prompt_id=record_id("prompt", "test", number),
                text=text,
                categories=(categories[number % len(categories)],),
                source="test",
            )
            for number, text in enumerate(prompt_texts)
        ]
        records: list[Record] = [*generators, *prompts]
        pairs, videos = _pairs(prompts, generators, raters_per_pair)
        records += videos
        media = _clips(workspace, num_frames)
        records += media
        records += [
            VideoMedia(video_id=video.video_id, media_id=media[number % len(media)].media_id)
            for number, video in enumerate(videos)
        ]
        records += pairs
        store.write(records)
        tokens = _people(store, annotators)
    return Fixture(root=root, prompts=prompts, pairs=pairs, videos=videos, tokens=tokens)


def _pairs(
    prompts: Sequence[Prompt], generators: Sequence[Generator], raters_per_pair: int
) -> tuple[list[Pair], list[Video]]:
    pairs, videos = [], []
    for prompt in prompts:
        both = [
            Video(
                video_id=record_id("video", prompt.prompt_id, generator.name),
                prompt_id=prompt.prompt_id,
                generator_id=generator.generator_id,
                seed=1,
            )
            for generator in generators
        ]
        first, second = sorted(video.video_id for video in both)
        videos += both
        pairs.append(
            Pair(
                pair_id=record_id("pair", first, second),
                prompt_id=prompt.prompt_id,
                video_a_id=first,
                video_b_id=second,
                strategy="all_pairs",
                raters_per_pair=raters_per_pair,
                priority=float(not pairs),  # Everybody gets the first one first.
            )
        )
    return pairs, videos


def _clips(workspace: Workspace, num_frames: int) -> list[Media]:
    colors = ((220, 60, 60), (60, 90, 220), (60, 180, 90), (230, 180, 50))
    with MediaStore(workspace) as media_store:
        return [
            media_store.ingest_frames(moving_square(color=color, num_frames=num_frames), fps=FPS)
            for color in colors
        ]


def _people(store: Store, annotators: Sequence[str]) -> dict[str, str]:
    roles = dict.fromkeys(annotators, Role.ANNOTATOR) | {"rita": Role.RESEARCHER, "adam": Role.ADMIN}
    for name, role in roles.items():
        add_user(store, name, role, PASSWORD)
    return {name: create_token(store, name) for name in roles}


class Client(httpx.Client):
    """A rater's HTTP client, with the calls of REST API v1 that tests make most."""

    def next(self, **body: str) -> httpx.Response:
        return self.post("/api/v1/assignments", json=body)

    def judge(self, assignment_id: str, **body: Any) -> httpx.Response:
        return self.put(f"/api/v1/assignments/{assignment_id}/judgments", json=body)

    def vote(self, assignment_id: str, overall: str = "left", **answers: str) -> httpx.Response:
        return self.judge(assignment_id, answers={"overall": overall, **answers})


@dataclass(frozen=True)
class ServedFixture:
    """A workspace being served from this process."""

    fixture: Fixture
    store: Store
    address: str
    stack: ExitStack

    def client(self, name: str | None = None) -> Client:
        """Return a client with a person's token, or one that nobody knows. It is closed with the server."""
        headers = {"Authorization": f"Bearer {self.fixture.tokens[name]}"} if name else {}
        return self.stack.enter_context(Client(base_url=self.address, headers=headers, timeout=20))


@contextmanager
def serve_fixture(
    fixture: Fixture,
    *,
    config: ServerConfig | None = None,
    guard: SpaceGuard | None = None,
    with_pages: bool = False,
) -> Iterator[ServedFixture]:
    """Serve a workspace from this process while the block runs."""
    from app.serve import serving

    with (
        Store.open(fixture.root, guard=guard) as store,
        serving(store, config or ServerConfig(port=0), with_pages=with_pages) as address,
        ExitStack() as stack,
    ):
        yield ServedFixture(fixture, store, address, stack)
