"""What goes over the wire in REST API v1: request bodies that are checked, and answers that are documented.

`left` and `right` are the sides as this rater saw them; the store keeps which video that was.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from storage.records import Aspect, Role

SideOutcome = Literal["left", "right", "both_good", "both_bad"]

ASPECTS: tuple[Aspect, ...] = (
    Aspect.VISUAL_QUALITY,
    Aspect.MOTION_QUALITY,
    Aspect.TEXT_ALIGNMENT,
    Aspect.OVERALL,
)
OUTCOMES: tuple[SideOutcome, ...] = ("left", "right", "both_good", "both_bad")

MAX_COMMENT_CHARS = 2000
MAX_EVIDENCE_KEYS = 32


class ErrorAnswer(BaseModel):
    """Every answer from 400 up."""

    detail: str = Field(description="What failed, the value given, what is allowed, and what to do next.")


class NextRequest(BaseModel):
    """What the rater wants to judge next."""

    model_config = ConfigDict(extra="forbid")

    category: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="An action category; leave it out for any."
    )


class ClipView(BaseModel):
    """One clip of a pair. The url is opaque, works for this rater alone and supports Range requests."""

    url: str
    fps: float
    width_px: int
    height_px: int


class AssignmentView(BaseModel):
    """A pair leased to the rater who asked."""

    assignment_id: str
    prompt: str = Field(description="Plain text: show it as text, never as markup.")
    category: str | None = Field(description="The prompt's main action category.")
    aspects: list[Aspect] = Field(description="What can be answered; `overall` must be.")
    outcomes: list[SideOutcome]
    left: ClipView
    right: ClipView
    expires_at: str = Field(description="End of the lease (UTC); a heartbeat moves it.")


class EarlierAnswers(BaseModel):
    """What the rater had answered before undoing."""

    answers: dict[Aspect, SideOutcome]
    confidence: int | None = None
    comment: str | None = None


class UndoView(AssignmentView):
    """The pair judged last, to be judged again: a new PUT corrects the earlier judgment."""

    earlier: EarlierAnswers


class JudgmentsRequest(BaseModel):
    """A rater's answers on one assignment."""

    model_config = ConfigDict(extra="forbid")

    answers: dict[Aspect, SideOutcome] = Field(description="Aspect to outcome; `overall` is required.")
    confidence: Annotated[int, Field(ge=1, le=3)] | None = Field(default=None, description="1 guess, 3 sure.")
    comment: Annotated[str, Field(max_length=MAX_COMMENT_CHARS)] | None = None
    evidence: Annotated[dict[str, JsonValue], Field(max_length=MAX_EVIDENCE_KEYS)] = Field(
        default_factory=dict, description="How the clips were watched: seconds seen, loops, speed."
    )


class JudgmentsAnswer(BaseModel):
    """The judgment is on disk."""

    assignment_id: str
    duplicate: bool = Field(description="The same answers had been stored before; nothing was added.")
    late: bool = Field(
        description="The lease had ended: kept and marked, not counted towards the pair's quota."
    )


class SkipRequest(BaseModel):
    """Why a pair is not judged."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=200)]


class LeaseAnswer(BaseModel):
    """A lease after a heartbeat."""

    assignment_id: str
    expires_at: str


class CategoryProgress(BaseModel):
    """How far the work in one category is."""

    name: str
    done: int = Field(description="Pairs that have all the judgments they need.")
    total: int
    mine: int = Field(description="Pairs this rater may still be given.")
    judged_by_me: int = Field(description="Pairs this rater has judged.")


class ProgressAnswer(BaseModel):
    """How far the work is, in the category asked for or in all."""

    category: str | None
    done: int
    total: int
    mine: int
    judged_by_me: int
    categories: list[CategoryProgress]


class MeAnswer(BaseModel):
    """Who the server takes the caller for."""

    name: str
    role: str


class NewUser(BaseModel):
    """An account to make."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64)]
    role: Role = Role.ANNOTATOR
    password: str | None = Field(
        default=None, description="Leave it out for an account that only uses tokens and one-time links."
    )


class UserAnswer(BaseModel):
    """An account, without its secrets."""

    name: str
    role: Role
    disabled: bool


class SecretAnswer(BaseModel):
    """A new secret, told this once."""

    secret: str = Field(
        description="A token for `Authorization: Bearer`, or the end of /login/once/<secret>."
    )
    expires_at: str | None = Field(description="UTC; null where it does not expire.")


class HealthAnswer(BaseModel):
    """The store was written to and read from just now."""

    status: Literal["ok"]
