"""What can go wrong when work is handed out or answered. The message of each is meant for the user."""

from storage.errors import VidprefError


class AnnotationError(VidprefError):
    """Root of this package's errors."""


class UnknownAssignment(AnnotationError):
    """No such assignment, or it belongs to somebody else: the two are told apart by nobody."""

    def __init__(self, assignment_id: str) -> None:
        super().__init__(f"no assignment {assignment_id!r} of yours; ask for the next pair")
        self.assignment_id = assignment_id


class LeaseEnded(AnnotationError):
    """The assignment is over and its pair cannot be held for this rater any more."""

    def __init__(self, assignment_id: str, reason: str) -> None:
        super().__init__(
            f"assignment {assignment_id!r} has ended ({reason}); ask for the next pair"
            " (an answer sent all the same is kept and marked late)"
        )
        self.assignment_id = assignment_id
        self.reason = reason


class InvalidAnswer(AnnotationError, ValueError):
    """An answer names an aspect, an outcome or a confidence that is not offered."""
