"""The errors of genae, each with its exit code on the command line.

A message names the value, the reason and the next step; it is shown without a traceback.
"""

INTERRUPTED = 130  # what a shell reports for Ctrl-C


class GenaeError(Exception):
    """Base of every error that genae raises on purpose."""

    exit_code = 1


class UsageError(GenaeError):
    """The request itself is wrong: an unknown option, an impossible size, a malformed card."""

    exit_code = 2


class SettingError(UsageError):
    """An environment variable has a value that cannot be used."""


class NotFoundError(GenaeError):
    """A model, file, data set or published version that does not exist."""

    exit_code = 3


class UnreachableError(NotFoundError):
    """A registry does not answer, or not in time; trying later may help."""


class CutOffError(UnreachableError):
    """A registry cannot be reached from here; trying again at once would not help."""


class BusyError(UnreachableError):
    """A registry is busy and asks to try later.

    Attributes:
        seconds: how long to wait; 0 if it does not say.
        final: it has said so before, and the wait is too long.
    """

    seconds: float = 0.0
    final: bool = False


class WithdrawnError(NotFoundError):
    """A version of a model that its owner withdrew; the message has the reason."""


class NotAllowedError(GenaeError):
    """Permission is missing: a gated repository, a token without the right."""

    exit_code = 4


class IntegrityError(GenaeError):
    """Files differ from what their manifest, header or card says.

    Attributes:
        answer: the answer of a server makes no sense, so nothing is known about the model.
    """

    exit_code = 5
    answer: bool = False


class MissingDependencyError(GenaeError):
    """The environment lacks a package, a device or disk space."""

    exit_code = 6


class ConflictError(GenaeError):
    """The target exists already, or two things claim the same name."""

    exit_code = 7


class FrozenError(ConflictError):
    """A version is published already, and never changes."""


class UnsafeError(GenaeError):
    """Refused because it could harm: a pickle, a decompression bomb, a path outside the target."""

    exit_code = 8


class RedirectError(UnsafeError):
    """A server redirected to an address that is not allowed; it was not followed."""


class ToleranceError(GenaeError):
    """A measured value lies outside the tolerance its card states."""

    exit_code = 9


class DivergedError(GenaeError):
    """The loss or a tensor of a training is no longer finite."""


class LeftError(GenaeError):
    """Another of several processes has ended, and this one cannot go on without it."""


class InterruptedRunError(GenaeError):
    """Interrupted by the user, after saving what could be saved."""

    exit_code = INTERRUPTED
