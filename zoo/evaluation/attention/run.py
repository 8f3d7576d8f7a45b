"""Attention of one model, or of two side by side, to a text."""

import os
from pathlib import Path

from zoo import plots
from zoo.errors import UsageError

from .reading import read
from .result import Attention

PAGES, IMAGES = (".html", ".htm"), (".png",)
MAX_DRAWN = 128  # tokens; the labels of more are not legible


def attention(
    model: str | os.PathLike[str],
    text: str,
    *,
    beside: str | os.PathLike[str] | None = None,
    target: str | None = None,
    output: str | os.PathLike[str] | None = None,
) -> Attention:
    """Show where the heads of a text model look.

    Args:
        model: an id or a folder, of genae or of transformers.
        text: no longer than the model takes.
        beside: another model, shown at the side of the first on the same text.
        target: what the decoder of an encoder-decoder reads; without it, its encoder is shown.
        output: an HTML page or a PNG image to write, of at most 128 tokens.

    Returns:
        Weights and statistics of every layer and head.

    Raises:
        NotFoundError: there is no such model, or it has no tokenizer.
        UsageError: a model has no attention weights, the text is empty, too long or longer than
            what can be drawn, or the output has another ending.
        IntegrityError: a model's files are malformed.
        NotAllowedError: the output cannot be written.
        MissingDependencyError: a tokenizer needs a package that is not installed.
    """
    place = None
    if output is not None:
        place = plots.prepare_output(Path(output), endings=(*PAGES, *IMAGES))
    models = [model] if beside is None else [model, beside]
    found = Attention(text, target, [read(one, text, target) for one in models])
    if place is None:
        return found
    parts = [part for reading in found.readings for part in reading.parts]
    longest = max(len(tokens) for part in parts for tokens in (part.queries, part.keys))
    if longest > MAX_DRAWN:
        raise UsageError(
            f"the text has {longest} tokens, and at most {MAX_DRAWN} can be drawn legibly; "
            "shorten it, or leave the output out for the numbers"
        )
    if is_image(place):
        from .figure import draw

        content = draw(found)
    else:
        from .page import render

        content = render(found).encode("utf-8")
    plots.write_whole(content, place)
    return found


def is_image(output: Path) -> bool:
    """Whether an output is an image, by its ending."""
    return output.suffix.lower() in IMAGES
