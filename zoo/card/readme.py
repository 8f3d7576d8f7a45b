"""Cards as the Hub's README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo import catalog
from zoo.card.card import LOCAL, Card, Result
from zoo.card.toml import inline, quoted


def render_readme(
    card: Card,
    manifest: Mapping[str, Any] | None = None,
    base_model: str | None = None,
    place: str | None = None,
) -> str:
    """The Hub's model page: YAML front matter with the measured results, then Markdown.

    Args:
        card: the model's card.
        manifest: the model's manifest, for its parameter count; None while there are no weights.
        base_model: id of the model this one was made from, if it is another than the card says;
            of weights that began with others, the manifest names these.
        place: what the page's code loads: an id, or `.` for the folder in which the page stands.
            The card's id unless given; of a model that is published nowhere, `.`.

    Returns:
        Text of `README.md`, ending with a newline; the same for the same arguments.
    """
    base_model = base_model or _start(manifest).get("id")
    return f"---\n{_yaml(_front_matter(card, base_model))}---\n\n{_body(card, manifest, place)}"


def _start(manifest: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What a manifest says of the model whose weights a training began with, if anything."""
    start: Mapping[str, Any] = (manifest or {}).get("made", {}).get("start", {})
    return start


def _front_matter(card: Card, base_model: str | None) -> dict[str, Any]:
    matter: dict[str, Any] = {
        "license": card.license,
        "library_name": _library(card),
        "pipeline_tag": card.task,
        "tags": ["genae", *(tag for tag in card.tags if tag != "genae")],
    }
    base_model = base_model or card.base_model
    if base_model and not base_model.startswith(f"{LOCAL}/"):
        matter["base_model"] = base_model
    if card.language:
        matter["language"] = card.language
    if card.data is not None:
        matter["datasets"] = [card.data.dataset]
    if card.results:
        matter["model-index"] = [
            {"name": card.name, "results": [_indexed(card, result) for result in card.results]}
        ]
    return matter


def _library(card: Card) -> str:
    """Whose classes load it first: of weights brought along, transformers' where it has them."""
    brought = card.source is not None and "url" not in card.source
    return "transformers" if brought and not catalog.find(card.architecture).own else "genae"


def _indexed(card: Card, result: Result) -> dict[str, Any]:
    name = f"{result.metric} ({_options(result)})" if result.options else result.metric
    return {
        "task": {"type": card.task},
        "dataset": {"type": result.dataset, "name": result.dataset, "split": result.split},
        "metrics": [
            {"type": result.metric, "name": f"{name}, {result.unit}", "value": result.value}
        ],
    }


def _options(result: Result) -> str:
    return ", ".join(
        f"{k}={inline(v) if isinstance(v, bool) else v}" for k, v in result.options.items()
    )


def _yaml(value: Any, indent: int = 0) -> str:
    """Block YAML whose scalars are written so that every YAML version reads them alike."""
    pad = " " * indent
    text = ""
    items = value.items() if isinstance(value, Mapping) else ((None, item) for item in value)
    for key, item in items:
        head = pad + ("- " if key is None else f"{key}:")
        if not isinstance(item, Mapping | list):
            text += f"{head.rstrip()} {_yaml_scalar(item)}\n"
        elif key is None:  # the first key stands behind the dash
            text += head + _yaml(item, indent + 2).lstrip(" ")
        else:
            text += f"{head}\n{_yaml(item, indent + 2)}"
    return text


def _yaml_scalar(value: Any) -> str:
    if isinstance(value, float):
        mantissa, exponent, power = repr(value).partition("e")
        if exponent and "." not in mantissa:
            mantissa += ".0"  # YAML 1.1 reads 1e-05 as text
        return mantissa + exponent + power
    return str(value) if isinstance(value, int) else quoted(value)


def _body(card: Card, manifest: Mapping[str, Any] | None, place: str | None) -> str:
    parameters = (manifest or {}).get("parameters")
    facts = [f"version {card.version}", f"status: {card.status}", f"license: {card.license}"]
    if parameters:
        facts.insert(0, f"{parameters:,} parameters")
    parts = [f"# {card.name}", card.summary, " · ".join(facts)]
    if card.status == "deprecated":
        parts.append(f"**Deprecated**: use `{card.replaced_by}`. {card.reason}")
    place = place or ("." if card.is_local else card.id)
    load = (manifest or {}).get("made", {}).get("load", []) if place == "." else []
    parts.append(_fenced(load) if load else _usage(card, place, manifest or {}))
    parts += _images(card, manifest or {})
    if card.results:
        parts += ["## Measured results", _results(card, place)]
    parts += ["## Intended use", card.intended_use.strip(), "## Limits", card.limits.strip()]
    if card.data is not None:
        parts += ["## Training data", _data(card), *_begun(_start(manifest))]
    if card.source is not None:
        parts += ["## Source", _source(card.source)]
    if card.papers:
        parts += ["## Papers", "\n".join(f"- {paper}" for paper in card.papers)]
    return "\n\n".join(parts) + "\n"


#: Lines that make an image ready for a model; `{place}` is the model's.
READ = (
    "processor = zoo.load_image_processor({place})",
    'image = Image.new("RGB", (32, 32))  # or yours: Image.open("image.png")',
    'pixel_values = processor(image, return_tensors="pt")["pixel_values"]  # floats in [0, 1]',
)
#: What a model is asked for first, by its task: imports, and lines of Python.
CALLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unconditional-image-generation": (
        (),
        ("images = model.sample(4, {sampler}seed=0)  # (4, channels, height, width), in [0, 1]",),
    ),
    "image-feature-extraction": (
        ("from PIL import Image",),
        (*READ, 'features = model.encode(pixel_values, tap="conv")  # (images, size)'),
    ),
    "image-classification": (
        ("from PIL import Image",),
        (*READ, "logits = model(pixel_values).logits  # (images, classes)"),
    ),
}


#: The same of a model of vectors.
POINTS = (
    "points = model.sample(16, seed=0)  # (16, 2)",
    "log_density = model.log_density(points, normalized=True)  # nats, (16,)",
)


#: The same of a model of texts, by what it was trained for.
TEXT_CALLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "masked-lm": ((), ('zoo.fill_mask({place}, ["[MASK]"])[0].masks  # candidates, best first',)),
    "causal-lm": ((), ("zoo.generate({place}, {prompt}seed=0).texts[0]",)),
    "seq2seq": ((), ('zoo.generate({place}, "a text", greedy=True).texts[0]',)),
    "classification": ((), ('zoo.classify({place}, ["a text"])[0].labels  # likeliest first',)),
    "multilabel": ((), ('zoo.classify({place}, ["a text"])[0].labels  # those that hold',)),
    "tags": ((), ('zoo.tag({place}, ["a text"])[0].tokens  # each with its label',)),
    "entities": ((), ('zoo.extract({place}, ["a text"])[0].entities',)),
    "relations": ((), ('zoo.extract({place}, ["a text"])[0].relations',)),
    "pairs": (
        (),
        (
            'first, second = zoo.embed({place}, ["a text", "another"], normalized=True)',
            "first @ second  # cosine",
        ),
    ),
}


def _usage(card: Card, place: str, manifest: Mapping[str, Any]) -> str:
    """The page's code."""
    if card.data is not None and card.data.task is not None:
        imports, calls = TEXT_CALLS[card.data.task]
    elif "input_shape" in card.config:
        imports, calls = (), POINTS
    else:
        imports, calls = CALLS.get(card.task, ((), ()))
    example = list(map(str, manifest.get("made", {}).get("example", ())))  # of what was converted
    first = ["import torch"] if example else []
    calls = (*calls, *example)
    lines = [*first, "import zoo", *imports, "", "model = zoo.from_pretrained({place})", *calls]
    code = "\n".join(lines).replace("{place}", quoted(place))
    packed = card.data is not None and card.data.text_options.get("packing")
    code = code.replace("{prompt}", "" if packed else '"a", ')  # packed ones write without
    sampler = card.shown_sampler
    code = code.replace("{sampler}", "" if sampler == "prior" else f'sampler="{sampler}", ')
    return _fenced([code])


def _fenced(lines: Sequence[str]) -> str:
    return "\n".join(["```python", *map(str, lines), "```"])


def _source(source: Mapping[str, Any]) -> str:
    """Where converted weights come from; of a conversion of one's own, what was compared too."""
    if "url" in source:
        return (
            f"Converted from {source['format']} weights published at {source['url']} "
            f"(license: {source['license']})."
        )
    text = (
        f"Made from {source['format']} weights of the family `{source['family']}` "
        f"(license: {source['license']})."
    )
    if (parity := source.get("parity")) is None:
        return f"{text} Its outputs were not compared with recorded ones of the original."
    return (
        f"{text} Recorded outputs of the original ({', '.join(parity['outputs'])}) differ by at "
        f"most {parity['max_abs_error']:.1e}; {parity['atol']:.1e} is allowed."
    )


#: Files that a page shows as images.
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")
#: Images that genae makes for a model's folder, with what each says.
IMAGES = {
    "samples.png": "Samples of one seed, not selected.",
    "training.png": "The loss in training; `training.json` has the numbers.",
    "trace.png": "From noise to image: each row is one chain, the last column after the jump.",
    "inpainting.png": "Inpainting: the image, what the model saw of it, and what it made of that.",
}


def _images(card: Card, manifest: Mapping[str, Any]) -> list[str]:
    """The images that the manifest lists, each with its words, those of genae first."""
    listed = [entry["path"] for entry in manifest.get("files", ())]
    pictured = [path for path in listed if path.lower().endswith(ENDINGS)]
    shown = [*(path for path in IMAGES if path in pictured), *sorted({*pictured} - {*IMAGES})]
    return [f"![{_called(path)}]({path})\n\n{_words(card, path)}" for path in shown]


def _called(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0].replace("_", " ").replace("-", " ")


def _words(card: Card, path: str) -> str:
    """What an image shows; of one that is not genae's, its name says it."""
    if path == "samples.png" and card.shown_sampler != "prior":
        return (
            f"Samples of the {card.shown_sampler} fitted to the codes, of one seed, not selected."
        )
    name = _called(path)
    return IMAGES.get(path, f"{name[:1].upper()}{name[1:]}.")


def _data(card: Card) -> str:
    data = card.data
    assert data is not None
    binarization = "" if data.binarization == "none" else f", {data.binarization} binarisation"
    return f"`{data.dataset}`, split `{data.train_split}`{binarization} (license: {data.license})."


def _begun(start: Mapping[str, Any]) -> list[str]:
    """The weights that a training began with, and how to know them again."""
    sums = ", ".join(f"`{name}` {sum_}" for name, sum_ in start.get("files", {}).items())
    called = f"of `{start['id']}` {start.get('version', '')}" if "id" in start else "of another"
    return [f"It began with the weights {called.rstrip()} (SHA-256 of {sums})."] if sums else []


def _results(card: Card, place: str) -> str:
    ours, there = f"genae evaluate {card.id} ", f"genae evaluate {place} "
    rows = ["| metric | data | value | unit | measure it again |", "|---|---|---|---|---|"]
    for result in card.results:
        metric = f"{result.metric} ({_options(result)})" if result.options else result.metric
        value = f"{result.value:g} ± {result.tolerance:g}"
        if (spread := result.training) is not None:
            value += (
                f" (over {spread['seeds']} trainings: {spread['mean']:g}, sd {spread['sd']:g})"
            )
        cells = (
            metric,
            f"{result.dataset}, {result.split}",
            value,
            result.unit,
            f"`{result.protocol.replace(ours, there)}`",
        )
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    note = "Measured on these weights; `±` is the tolerance that `genae evaluate` allows."
    return "\n".join(rows) + f"\n\n{note}"
