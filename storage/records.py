"""The records everything is made of: one frozen dataclass per thing that is ever written.

These are the project's words (prompt, generator, video, pair, rater, assignment, judgment, rating, label,
dataset, run, round). A record is written once and never changed: a correction or a change of state is a new
record. This module imports no database and no web framework, so that every package can use it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum


class Aspect(StrEnum):
    """What a judgment is about. Each is asked, stored and reported on its own."""

    VISUAL_QUALITY = "visual_quality"
    MOTION_QUALITY = "motion_quality"
    TEXT_ALIGNMENT = "text_alignment"
    OVERALL = "overall"


class Outcome(StrEnum):
    """One rater's answer on one aspect of one pair. `UNPARSED` is a model's unreadable reply, never a tie."""

    A = "a"
    B = "b"
    BOTH_GOOD = "both_good"
    BOTH_BAD = "both_bad"
    UNPARSED = "unparsed"


class RaterKind(StrEnum):
    """A person, or a model (judge, scorer, automatic metric)."""

    HUMAN = "human"
    MODEL = "model"


class Role(StrEnum):
    """What an account may do: annotate; also see names and results; also manage accounts."""

    ANNOTATOR = "annotator"
    RESEARCHER = "researcher"
    ADMIN = "admin"


class Split(StrEnum):
    """`EVAL` prompts are held out: they are sampled for reports and never become pairs to train on."""

    TRAIN = "train"
    EVAL = "eval"


class EndReason(StrEnum):
    """How an assignment ended."""

    SUBMITTED = "submitted"
    SKIPPED = "skipped"
    RETURNED = "returned"
    EXPIRED = "expired"


class RunStatus(StrEnum):
    """How a training run ended."""

    FINISHED = "finished"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


def utc_now() -> datetime:
    """Return the present time as a naive UTC datetime with microseconds, the form every table stores."""
    return datetime.now(UTC).replace(tzinfo=None)


def record_id(*parts: object) -> str:
    """Return a 32-hex-digit name that depends on `parts` alone: a thing imported twice gets one name."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A text that videos are made from."""

    prompt_id: str
    """`record_id("prompt", source, key)`; for plain texts the key is the text and its categories."""
    text: str
    categories: tuple[str, ...]
    """Action categories, the main one first; empty where a source gives none."""
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Everything else known about the prompt, such as `attribute` or `complexity`."""
    source: str
    """Who wrote it: an importer's name (`fetv`, `videos`) or `tiny`, `composer`."""
    split: Split = Split.TRAIN
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A base model with an optional adapter, or the outside source that imported videos came from."""

    generator_id: str
    name: str
    """Unique in the workspace; what commands and pages show."""
    family: str
    """`wan`, ... for models we can run; `external` for imported sources."""
    model: str
    """Hub name or folder of the pipeline; `tiny` for the shipped model; empty for `external`."""
    adapter: str | None = None
    """Folder of the adapter, relative to the workspace; None for a base model."""
    parent_id: str | None = None
    """The generator this one was trained from."""
    category: str | None = None
    """The action category it was trained on."""
    round: int = 0
    """0 for a base model, else the round that made it."""
    aliases: tuple[str, ...] = ()
    """Other spellings found in imported files."""
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """One clip of one generator for one prompt. Its file, where there is one, is a `Media` attached to it."""

    video_id: str
    prompt_id: str
    generator_id: str
    seed: int | None = None
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Sampling settings: steps, guidance, size, frames, model hash, ..."""
    source_key: str = ""
    """Name in the source it was imported from, such as `cogvideo/17`."""
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A stored file, named by the SHA-256 of its original bytes, and what probing it found."""

    media_id: str
    """SHA-256 (64 hex digits) of the original file."""
    original_name: str
    """File name inside the media folder, `original.<ext>`."""
    width_px: int
    height_px: int
    num_frames: int
    fps: float
    duration_s: float
    codec: str
    size_bytes: int
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoMedia:
    """Says which media file shows a video. Written once per video."""

    video_id: str
    media_id: str
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two videos of the same prompt that raters compare."""

    pair_id: str
    """`record_id("pair", video_a_id, video_b_id)` with the two ids in ascending order."""
    prompt_id: str
    video_a_id: str
    video_b_id: str
    strategy: str
    """How it was made: `all_pairs`, `best_vs_worst`, ..."""
    raters_per_pair: int = 1
    """How many people are asked."""
    priority: float = 0.0
    """Pairs of higher priority are handed out first."""
    round: int = 0
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rater:
    """A person or a model that gives judgments or ratings."""

    rater_id: str
    """`record_id("rater", name)`."""
    name: str
    kind: RaterKind
    details: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """For models: version, settings. For imported people: the source."""
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person's log-in. A later record of the same rater replaces the earlier one."""

    rater_id: str
    name: str
    role: Role
    password_hash: str
    """Argon2id; empty where the account has no password (token only)."""
    disabled: bool = False
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A session or an API token, by the SHA-256 of its secret. A later record of a hash replaces it."""

    token_hash: str
    rater_id: str
    kind: str
    """`session`, `token` or `one_time` (a log-in link that ends at its first use)."""
    expires_at: datetime | None
    """None: does not expire."""
    revoked: bool = False
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A pair leased to a rater, with the sides as shown."""

    assignment_id: str
    """Random, 128 bits: the browser sees it and learns nothing from it."""
    pair_id: str
    rater_id: str
    left_video_id: str
    right_video_id: str
    expires_at: datetime
    """When the first lease ends; heartbeats move the end in memory only."""
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentEnd:
    """How and when an assignment ended. A late submit adds a second end after `EXPIRED` or `RETURNED`."""

    assignment_id: str
    reason: EndReason
    note: str = ""
    """The reason given for a skip."""
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgment:
    """One rater's answer on one aspect of one pair, with what was shown where."""

    judgment_id: str
    pair_id: str
    rater_id: str
    aspect: Aspect
    outcome: Outcome
    chosen_video_id: str | None
    """The video preferred; None for both good, both bad and unparsed."""
    left_video_id: str
    right_video_id: str
    assignment_id: str | None = None
    """None for imported and for model judgments."""
    confidence: int | None = None
    """1 (guess) to 3 (sure)."""
    comment: str | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)
    """What the page recorded: seconds seen, loops, speed; for models: scores, raw reply, version."""
    late: bool = False
    """Arrived after the lease had ended; kept, and not counted towards the pair's quota."""
    replaces: str | None = None
    """The judgment this one corrects."""
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rating:
    """One rater's score of one video on one aspect."""

    rating_id: str
    video_id: str
    rater_id: str
    aspect: str
    """One of `Aspect`, or the source's own word (`fine_grained_alignment`, `sharpness`, ...)."""
    value: float
    scale_low: float | None = None
    scale_high: float | None = None
    comment: str | None = None
    replaces: str | None = None
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord:
    """A frozen export: where it lies and what its manifest hashes to."""

    dataset_id: str
    """The manifest's content hash."""
    name: str
    category: str | None
    path: str
    """Relative to the workspace."""
    num_pairs: int
    num_videos: int
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A training run that has started."""

    run_id: str
    dataset_id: str
    generator_id: str
    """The generator it starts from."""
    recipe: str
    path: str
    """Relative to the workspace."""
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a training run ended."""

    run_id: str
    status: RunStatus
    message: str = ""
    created_at: datetime = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRecord:
    """One line of the round ledger: sample, label and train once, for one category."""

    round_id: str
    """`record_id("round", category, number, ...)`."""
    category: str
    number: int
    """1 for the first round of this category."""
    parent_generator_id: str
    generator_id: str
    dataset_id: str
    run_id: str
    report: Mapping[str, object] = field(default_factory=dict)
    """The measured result, as in the report file."""
    created_at: datetime = field(default_factory=utc_now)


Record = (
    Prompt
    | Generator
    | Video
    | Media
    | VideoMedia
    | Pair
    | Rater
    | Account
    | Credential
    | Assignment
    | AssignmentEnd
    | Judgment
    | Rating
    | DatasetRecord
    | RunRecord
    | RunEnd
    | RoundRecord
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """What aggregation makes of the judgments on one aspect of one pair. Computed, exported, never stored."""

    pair_id: str
    prompt_id: str
    aspect: Aspect
    outcome: Outcome
    winner_id: str | None
    """The preferred video; None for a tie."""
    loser_id: str | None
    agreement: float
    """Share of the votes that agree with the outcome, 0..1."""
    num_votes: int
    weight: float = 1.0
    """What the loss multiplies the pair by."""
