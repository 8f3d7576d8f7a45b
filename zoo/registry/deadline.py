"""When an operation has to be over. Standard library only."""

import os
import time

from zoo.errors import SettingError, UnreachableError

#: An operation may take this long, and a second more for each so many bytes.
SECONDS = 120.0
BYTES_PER_SECOND = 100_000
DEADLINE = "GENAE_HUB_DEADLINE"


class Deadline:
    """When an operation has to be over.

    `GENAE_HUB_DEADLINE` in the environment, in seconds, replaces the rule of `SECONDS` and
    `BYTES_PER_SECOND`.

    Raises:
        SettingError: that variable is not a positive number.
    """

    def __init__(self) -> None:
        text = os.environ.get(DEADLINE, "")
        try:
            self.fixed = float(text) if text else None
        except ValueError:
            self.fixed = -1.0
        if self.fixed is not None and not 0 < self.fixed < 1e9:
            raise SettingError(f"{DEADLINE} is {text!r}: give seconds, such as 600.")
        self.seconds = SECONDS if self.fixed is None else self.fixed
        self.start = time.monotonic()

    def allow(self, size: int) -> None:
        """Add the time that so many bytes may take."""
        if self.fixed is None:
            self.seconds += size / BYTES_PER_SECOND

    @property
    def left(self) -> float:
        """Seconds left.

        Raises:
            UnreachableError: there are none.
        """
        left = self.start + self.seconds - time.monotonic()
        if left <= 0:
            raise UnreachableError(
                f"not finished after {self.seconds:.0f} s: run it again to resume from here, or "
                f"set {DEADLINE} to more seconds."
            )
        return left

    def allows(self, seconds: float) -> bool:
        """Whether so much time is left."""
        return time.monotonic() + seconds < self.start + self.seconds

    def wait(self, seconds: float) -> None:
        """Sleep, no longer than is left."""
        time.sleep(max(0.0, min(seconds, self.left)))
