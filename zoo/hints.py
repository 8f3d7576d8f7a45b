"""Words for what a person may have meant. Standard library only."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is alike."""
    import difflib  # not needed unless something went wrong

    table = {word.lower(): word for word in known}
    found = difflib.get_close_matches(name.lower(), table, n=1, cutoff=0.6)
    return table[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name, else all of them; empty if none is known.

    Example:
        >>> did_you_mean("vea", ["ae", "vae", "eae"])
        "Did you mean 'vae'?"
        >>> did_you_mean("bert", ["vae", "eae"])
        "Known: 'vae', 'eae'."
    """
    words = list(known)
    if (match := nearest(name, words)) is not None:
        return f"Did you mean {match!r}?"
    return f"Known: {', '.join(map(repr, words))}." if words else ""
