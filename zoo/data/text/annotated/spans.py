"""Spans as files write them, with their ends made exclusive and their places found."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import UsageError

from .normal import Faults
from .spellings import Span

ENDS = ("inclusive", "exclusive")


@dataclass(frozen=True)
class Ends:
    """What the end of a span means.

    Attributes:
        shift: added to what is written, so that it is behind the last character.
        said: whether a card says so.
    """

    shift: int
    said: bool

    @classmethod
    def of(
        cls,
        rows: Iterable[tuple[str, str, Sequence[Span]]],
        said: str | None,
        note: Callable[[str], Any],
    ) -> "Ends":
        """What spans tell: by the texts that are written beside them, else by the spans alone.

        Args:
            rows: place, text and spans.
            said: of `ENDS`; None to look.
            note: told what is taken for granted.
        """
        if said is not None:
            return cls(int(said == "inclusive"), True)
        agree = [0, 0]
        single, last = 0, 0  # spans of a character if inclusive; at the end if exclusive
        seen = False
        for _, text, spans in rows:
            for span in spans:
                if span.start is None or span.end is None:
                    continue
                seen = True
                if span.text is not None:
                    for shift in (0, 1):
                        agree[shift] += text[span.start : span.end + shift] == span.text
                single += span.start == span.end
                last += span.end == len(text)
        if any(agree):
            return cls(int(agree[1] > agree[0]), False)
        inclusive = single > 0 and not last
        if seen and not last:
            note(
                f"ends of spans are taken as {ENDS[not inclusive]}, since "
                + ("some have one place for both" if inclusive else "nothing tells")
                + f"; data.ends = {ENDS[inclusive]!r} says otherwise"
            )
        return cls(int(inclusive), False)


class Resolver:
    """Finds the characters of spans.

    Args:
        ends: what their ends mean.
        faults: gets those that cannot be found.
    """

    def __init__(self, ends: Ends, faults: Faults) -> None:
        self.ends, self.faults = ends, faults

    def __call__(self, span: Span, text: str, place: str) -> tuple[int, int] | None:
        """First character and the one behind the last; None where there is no such span.

        White space at both ends is left out. A span without places is the first that reads so.

        Raises:
            UsageError: it reaches outside its text.
        """
        if span.start is None or span.end is None:
            return self._searched(str(span.text), text, place)
        start, end = span.start, span.end + self.ends.shift
        if start < 0 or end > len(text):
            raise UsageError(
                f"{place}: the span {span.start} to {span.end}"
                f"{f' ({span.type})' if span.type else ''} reaches outside its text of "
                f"{len(text)} characters; mend it, or say with ends what its end is "
                f"({' or '.join(ENDS)})"
            )
        found = text[start:end]
        if span.text is not None and found != span.text:
            self.faults.add(
                "spans are not the text that is written beside them; their places count",
                f"{place}: {found!r:.40}, not {span.text!r:.40}",
            )
        inner = found.strip()
        if not inner:
            self.faults.add(
                "spans have no characters, and are left out", f"{place}: {span.start}, {span.end}"
            )
            return None
        start += len(found) - len(found.lstrip())
        return start, start + len(inner)

    def _searched(self, written: str, text: str, place: str) -> tuple[int, int] | None:
        wanted = written.strip()
        start = text.find(wanted)
        if start < 0 and len(text.lower()) == len(text):
            start = text.lower().find(wanted.lower())
        if start < 0 or not wanted:
            self.faults.add(
                "subjects or objects do not occur in their text; their relations are left out",
                f"{place}: {written!r:.40}",
            )
            return None
        return start, start + len(wanted)
