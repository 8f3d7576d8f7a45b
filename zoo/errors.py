"""What can go wrong, each with the exit code the command line ends with.

A message names the value, the reason and the next step; it is shown to people without a traceback.
"""

INTERRUPTED = 130  # what a shell reports for Ctrl-C


class GenaeError(Exception):
    """Base of every error that genae raises on purpose."""

    exit_code = 1


class UsageError(GenaeError):
    """The request itself is wrong: an unknown option, an impossible size, a malformed card."""

    exit_code = 2


class SettingError(UsageError):
    """A variable of the environment holds what cannot be used."""


class NotFoundError(GenaeError):
    """A model, file, data set or published version that does not exist."""

    exit_code = 3


class UnreachableError(NotFoundError):
    """A registry that does not answer, or not in time; asking later may help."""


class CutOffError(UnreachableError):
    """No way to a registry from here; asking again at once would not help."""


class BusyError(UnreachableError):
    """A registry that asks to come back later.

    Attributes:
        seconds: how long it asks to wait; 0 where it does not say.
        final: it said so before, and the wait is longer than anyone waits.
    """

    seconds: float = 0.0
    final: bool = False


class NotAllowedError(GenaeError):
    """Permission is missing: a gated repository, a token without the right."""

    exit_code = 4


class IntegrityError(GenaeError):
    """Files differ from what their manifest, header or card says.

    Attributes:
        answer: it is a server's answer that makes no sense, and nothing is known of the model.
    """

    exit_code = 5
    answer: bool = False


class MissingDependencyError(GenaeError):
    """The environment lacks a package, a device or disk space."""

    exit_code = 6


class ConflictError(GenaeError):
    """The target exists already, or two things claim the same name."""

    exit_code = 7


class UnsafeError(GenaeError):
    """Refused because it could harm: a pickle, a decompression bomb, a path outside the target."""

    exit_code = 8


class RedirectError(UnsafeError):
    """A server named an address that it should not have; it was not followed."""


class ToleranceError(GenaeError):
    """A measured value lies outside the tolerance its card states."""

    exit_code = 9


class DivergedError(GenaeError):
    """A training whose loss or tensors are no longer finite numbers."""


class InterruptedRunError(GenaeError):
    """Stopped by the user after what could be saved was saved."""

    exit_code = INTERRUPTED
