"""What can go wrong in sampling and training for a reason the user can act on."""

from storage.errors import VidprefError


class TrainingError(VidprefError):
    """A model, dataset or run folder cannot be used; the message says why and what to do next."""


class NonFiniteLoss(TrainingError):
    """The loss or the gradient of a step is not a number; the weights were left as before that step."""
