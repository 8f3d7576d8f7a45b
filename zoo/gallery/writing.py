"""One file with models that run where it is opened, without a server and without a request."""

import base64
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UsageError
from zoo.grids import Name, to_bytes
from zoo.hints import command

if TYPE_CHECKING:
    from zoo.gallery.parts import Shown
    from zoo.loading import Located

#: Without models named: what is shown, with the parts of each, in this order.
DEFAULT: dict[str, tuple[str, ...]] = {
    "genae/eae-mnist": ("decode", "encode"),
    "genae/vae-mnist": ("decode",),
    "genae/ae-mnist": ("decode",),
    "genae/vae-mnist-2d": ("decode",),
    "genae/cvae-mnist": ("decode",),
    "genae/classifier-mnist-small": ("classify",),
}
ALL = ("decode", "encode", "classify")
MIN_SIZE, DEFAULT_SIZE, MAX_SIZE = 0.1, 4.0, 1000  # megabytes, of 1,000,000 bytes
MAX_EXAMPLES = 10
TITLE, ENDINGS = "genae", (".html", ".htm")
#: The script of the page in order, which is also that of its worker.
SCRIPTS = ("engine.js", "runner.js", "codes.js", "page.js", "sections.js")
BODY = """<noscript><p>{words[en][needs]}</p><p lang="zh-CN">{words[zh][needs]}</p></noscript>
<main></main>
<footer>genae {version} · {names}</footer>
{blocks}"""


@dataclass(frozen=True)
class Gallery:
    """A page.

    Attributes:
        html: the whole of it.
        models: names of those that it shows, with their parts.
        left_out: names of those that it does not, or of their parts, with the reason.
    """

    html: str
    models: dict[str, tuple[str, ...]]
    left_out: dict[str, str]

    @property
    def size(self) -> int:
        """Bytes of the page."""
        return len(self.html.encode("utf-8"))

    def save(self, path: str | Path) -> Path:
        """Write the page, which appears complete or not at all.

        Raises:
            UsageError: the name does not end with .html or .htm, or the folder does not exist.
        """
        from zoo import plots

        path = plots.prepare_output(path, endings=ENDINGS)
        plots.write_whole(self.html.encode("utf-8"), path)
        return path


def make_gallery(
    models: Sequence[Name] | None = None,
    *,
    images: Sequence[str] = (),
    max_size: float = DEFAULT_SIZE,
    quiet: bool = True,
) -> Gallery:
    """Make a page on which models of images run, in a small engine of genae's own.

    Samples by a seed, walks through a latent space, ways from one image to another, drawings that
    are reconstructed and read, the plane of a latent space of two numbers, several models from the
    same noise: whatever the models are fit for. The page makes no request, which its policy
    forbids, and works from a disk.

    Args:
        models: ids or folders, in order; None is a choice of shipped models of digits.
        images: to go from one to another and to reconstruct: files, folders, or names of example
            data sets; without any, shipped examples of each model's data set, or what it draws.
        max_size: of the page, in megabytes; a model or an encoder beyond it is left out.
        quiet: draw no progress bar.

    Returns:
        The page, and what it leaves out and why.

    Raises:
        UsageError: none of the models can be shown, or an argument is out of its range.
        NotFoundError: there is no such model or image.
    """
    if not MIN_SIZE <= max_size <= MAX_SIZE:
        raise UsageError(f"max_size must be {MIN_SIZE} to {MAX_SIZE} megabytes, got {max_size}")
    from zoo.data.reading import check_exist
    from zoo.loading import locate

    check_exist(images)
    wanted = DEFAULT if models is None else {str(name): ALL for name in models}
    found = {name: locate(name) for name in wanted}
    kept, left_out = _within(found, wanted, int(max_size * 1e6), quiet)
    if not kept:
        reasons = "; ".join(f"{name}: {why}" for name, why in left_out.items())
        line = command("genae", "gallery", "-o", "gallery.html")
        raise UsageError(f"nothing can be shown ({reasons}); `{line}` shows shipped models")
    examples = _examples(kept, found, images, quiet)
    parts = {name: tuple(made.parts) for name, made in kept.items()}
    return Gallery(_page(kept, examples), parts, left_out)


def _within(
    found: dict[str, "Located"], wanted: Mapping[str, Sequence[str]], limit: int, quiet: bool
) -> tuple[dict[str, "Shown"], dict[str, str]]:
    """What fits below a number of bytes, in order, and why the rest is left out."""
    from zoo.gallery.packing import BASE64, characters
    from zoo.gallery.parts import LeftOutError, Shown, shown
    from zoo.gallery.tracing import Network
    from zoo.loading import load_for
    from zoo.progress import track

    kept: dict[str, Shown] = {}
    left_out: dict[str, str] = {}
    too_large: list[str] = []
    total = used = len(_page({}, []).encode("utf-8"))
    for name, located in track(list(found.items()), "tracing", total=len(found), quiet=quiet):
        if located.entry.reads != "images":
            left_out[name] = f"it reads {located.entry.reads}, not images"
            continue
        try:
            model, processor = load_for(located, "forward")
            made = shown(located, model, processor, wanted[name])
        except (LeftOutError, UsageError) as error:
            reason = str(error).removeprefix(f"{name}: ")
            own = f"{name} "
            left_out[name] = f"it {reason.removeprefix(own)}" if reason.startswith(own) else reason
            continue
        fitting: dict[str, Network] = {}
        facts = len(_json(made.facts).encode("utf-8"))
        pixels = made.facts["channels"] * made.facts["shown"] ** 2
        examples = math.ceil(MAX_EXAMPLES * BASE64 * pixels)
        for part, network in made.parts.items():
            size = characters(network) + (facts if not fitting else 0)
            size += examples if part == "encode" else 0
            total += size
            if name in too_large:
                continue  # an encoder alone is of no use
            if used + size > limit:
                too_large.append(name if part != "encode" else f"{name} (encoder)")
                continue
            used += size
            fitting[part] = network
        if fitting:
            kept[name] = Shown(made.facts, fitting)
    reason = f"the page would have more than {limit / 1e6:g} MB; "
    reason += f"`--max-size {math.ceil(total / 1e5) / 10}` has room for all"
    return kept, left_out | dict.fromkeys(too_large, reason)


def _examples(
    kept: Mapping[str, "Shown"], found: Mapping[str, "Located"], images: Sequence[str], quiet: bool
) -> list[list[str]]:
    """Sets of images for the models that encode, as bytes; each is told which is its own."""
    from zoo.data.reading import read_images
    from zoo.loading import load_for

    places: dict[Any, int] = {}
    sets: list[list[str]] = []
    for name, made in kept.items():
        if "encode" not in made.parts:
            continue
        data = made.facts["data"]
        named = list(images) or ([data] if data else [])
        model, processor = load_for(found[name], "encode")
        key = (*(named or [name]), processor.num_channels, processor.size)
        if key not in places:
            if named:
                read = read_images(named, processor, skip_bad=False, quiet=quiet)
                pixels = processor.crop_padding(read.pixels)
            else:
                pixels = to_bytes(processor, model.sample(MAX_EXAMPLES, seed=0))
            places[key] = len(sets)
            rows = pixels[:MAX_EXAMPLES].numpy()
            sets.append([base64.b64encode(row.tobytes()).decode() for row in rows])
        made.facts["examples"] = places[key]
    return sets


def _page(kept: dict[str, "Shown"], examples: Sequence[list[str]]) -> str:
    """The page as HTML."""
    from zoo.evaluation.page import page
    from zoo.gallery.packing import as_text, pack
    from zoo.version import __version__

    folder = Path(__file__).parent
    models, blocks = [], []
    for place, (name, made) in enumerate(kept.items()):
        networks, buffer = pack(made.parts)
        parts = list(networks)
        models.append({"id": name, "parts": parts, "networks": networks, **made.facts})
        blocks.append(_block(f"weights-{place}", "text/plain", as_text(buffer)))
    words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
    data = {"models": models, "examples": examples, "words": words}
    blocks.insert(0, _block("models", "application/json", _json(data)))
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    names = ", ".join(kept)
    return page(
        TITLE,
        BODY.format(
            version=__version__, names=html.escape(names), words=words, blocks="\n".join(blocks)
        ),
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=script,
        policy="worker-src blob:",
    )


def _block(name: str, kind: str, text: str) -> str:
    """A block of data, which no browser runs."""
    return f'<script type="{kind}" id="{name}">{text}</script>'


def _json(value: Any) -> str:
    """JSON that no HTML ends early."""
    text = io.StringIO()
    json.dump(value, text, ensure_ascii=False, separators=(",", ":"))
    return text.getvalue().replace("<", "\\u003c")
