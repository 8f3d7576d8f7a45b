"""Whether weights are those of the model that their configuration describes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.header import safetensors_header
from zoo.registry import manifest

HEAD = "lm_head.weight"  # of transformers' models that may tie it to the embeddings


def check_fit(folder: Path) -> list[str]:
    """Compare the weights' names and shapes with the model that `config.json` describes.

    The model is built without memory. This alone imports torch, so it comes after all that is
    checked without.

    Args:
        folder: a model's; its configuration is of genae's catalog, its weights are sound.

    Returns:
        One line per kind of difference, as loading says them; empty where they fit.

    Raises:
        NotFoundError: there is no configuration.
        IntegrityError: the configuration or the weights are malformed.
        UsageError: the configuration is not of the catalog.
    """
    headers = map(safetensors_header, sorted(folder.glob("*.safetensors")))
    found = {name: info["shape"] for header in headers for name, info in header.items()}
    config = manifest.read_config(folder)
    entry = catalog.find_config(config.get("model_type"))
    model_class = catalog.model_for(entry, config.get("architectures") or ())
    try:
        stored_shapes = catalog.load("zoo.models.images.modeling_image:stored_shapes")
        expected = dict(_untied(stored_shapes(model_class, config), config))
        found = _without_prefix(found, expected, f"{model_class.base_model_prefix}.")
    except Exception as error:  # a wrong config stops its class, transformers or torch anywhere
        return [f"config.json: makes no model ({' '.join(str(error).split())})"]
    differences = {
        "missing": [
            min(names)
            for names in expected
            if not names & found.keys()
            and not entry.rebuilds(min(names))
            and not entry.leaves_open(min(names))
        ],
        "unexpected": {
            name for name in found.keys() - set().union(*expected) if not entry.leaves_open(name)
        },
        "mismatched": [
            f"{name} {found[name]} in place of {shape}"
            for names, shape in expected.items()
            for name in names & found.keys()
            if found[name] != shape
        ],
    }
    return [
        f"the weights do not match config.json: {len(those)} {kind}, such as "
        f"{', '.join(sorted(those)[:3])}"
        for kind, those in differences.items()
        if those
    ]


def _without_prefix(
    found: Mapping[str, Any], expected: Mapping[frozenset[str], Any], prefix: str
) -> dict[str, Any]:
    """A backbone's weights by its own names, where they are named as those below a head.

    Loading leaves the prefix out as well.
    """
    if any(name.startswith(prefix) for names in expected for name in names):
        return dict(found)
    return {name.removeprefix(prefix): shape for name, shape in found.items()}


def _untied(
    shapes: Mapping[frozenset[str], list[int]], config: Mapping[str, Any]
) -> Iterator[tuple[frozenset[str], list[int]]]:
    """The same, the head by itself where the configuration says so.

    transformers' mT5 is made with both matrices tied, whatever its configuration says.
    """
    apart = frozenset({HEAD} if config.get("tie_word_embeddings") is False else ())
    for names, shape in shapes.items():
        yield from ((part, shape) for part in (names - apart, names & apart) if part)
