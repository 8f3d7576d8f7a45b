"""What of a model the gallery shows: its parts as networks, and how codes for it are drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo.errors import GenaeError, UsageError
from zoo.gallery.tracing import Network, UnknownOperationError, trace
from zoo.hints import command
from zoo.loading import Located
from zoo.registry import load_card

#: From a model and its images or codes to what a part makes, in its config's sizes.
FUNCTIONS: Mapping[str, Callable[[Any, Tensor], Tensor]] = {
    "decode": lambda model, latents: model.decode(latents),
    "encode": lambda model, pixels: model.encode(pixels),
    "classify": lambda model, pixels: model(pixel_values=pixels).logits,
}
#: What a model must be able to do to have a part.
NEEDS = {"decode": "samples", "encode": "reconstructs", "classify": "classifies"}
#: Example images of a model's data.
EXAMPLES = {
    "mnist": "examples-mnist",
    "fashion-mnist": "examples-fashion-mnist",
    "synthetic-faces": "examples-faces",
}
MAX_CLASSIFIER = 100_000  # weights; what reads a digit while it is drawn
MAX_LATENTS = 256
MAX_SIDE = 128  # pixels, more are too slow for a browser without a GPU


class LeftOutError(Exception):
    """A model, or a part of it, that the page goes without, and why."""


@dataclass(frozen=True)
class Shown:
    """A model on the page.

    Attributes:
        facts: what the page is told of it, JSON.
        parts: its networks by name.
    """

    facts: dict[str, Any]
    parts: dict[str, Network]


def shown(located: Located, model: Any, processor: Any, wanted: Sequence[str]) -> Shown:
    """A model's facts and networks.

    Args:
        located: where it was found.
        model: in float32 on the CPU.
        processor: its image processor.
        wanted: names of `FUNCTIONS`; those that it has not are none of it.

    Raises:
        LeftOutError: it has none of the parts, or the engine cannot run them.
    """
    config = model.config
    side = config.image_size
    pixels = [config.num_channels, side, side]
    latents: Any = getattr(config, "latent_size", None)
    can = located.entry.can
    have = [name for name in wanted if NEEDS[name] in can and _has(model, name)]
    if not have or "quantizes" in can:
        raise LeftOutError("it neither decodes vectors of codes nor classifies images")
    if side > MAX_SIDE:
        raise LeftOutError(f"its images of {side} pixels a side are too large for the engine")
    if "classify" in have and model.num_parameters() > MAX_CLASSIFIER:
        raise LeftOutError(
            f"it has {model.num_parameters():,} weights, and classifiers of the page have at most "
            f"{MAX_CLASSIFIER:,}"
        )
    parts = {}
    for name in have:
        try:
            parts[name] = trace(model, FUNCTIONS[name], [latents] if name == "decode" else pixels)
        except UnknownOperationError as error:
            raise LeftOutError(f"the engine has no operation {error}") from error
        except (RuntimeError, ValueError, UsageError) as error:  # of torch.export
            reason = " ".join(str(error).split())[:120]
            raise LeftOutError(f"its {name} cannot be exported ({reason})") from error
    codes = codes_of(model) if "decode" in parts else {}
    num_labels = len(codes["prior"].get("centers", ())) if codes else config.num_labels
    facts = {
        "channels": config.num_channels,
        "side": side,
        "shown": processor.size,
        "labels": _names(config, num_labels),
        "data": _data(located),
        "command": command("genae", "sample", located.name),
        **codes,
    }
    return Shown(facts, parts)


def _data(located: Located) -> str | None:
    """Examples that ship of a model's data set, where its folder has a card."""
    try:
        data = load_card(located.place).data
    except GenaeError:  # no card, or one of another tool
        return None
    name = None if data is None else data.dataset
    return name if name in EXAMPLES.values() else EXAMPLES.get(str(name))


def _has(model: Any, part: str) -> bool:
    """Whether a model has what a part calls, with codes that are vectors of a moderate size."""
    latents = getattr(model.config, "latent_size", None)
    if part == "classify":
        return latents is None
    found = isinstance(latents, int) and latents <= MAX_LATENTS and hasattr(model, part)
    return found and hasattr(model, "samplers")


def _names(config: Any, count: int) -> list[str]:
    """Names of labels; numbers where they have none."""
    names = config.id2label or {}
    found = [str(names.get(number, number)) for number in range(count)]
    return [name.removeprefix("LABEL_") for name in found]


def codes_of(model: Any) -> dict[str, Any]:
    """How `codes.js` draws codes of a model.

    Returns:
        Their size, as `latents`; `prior`, nothing of N(0, I); whether a temperature `spreads` it;
        `gaussian`, mean and scale of the one that was fitted to codes, or None.
    """
    return {
        "latents": model.config.latent_size,
        "prior": _prior(model),
        "spreads": model.has_spread,
        "gaussian": _gaussian(model),
    }


def _prior(model: Any) -> dict[str, Any]:
    """How a prior differs from N(0, I)."""
    distribution = model.distribution("prior")
    if distribution.num_labels:
        return {"centers": _rounded(distribution.centers())}
    posterior = getattr(model.config, "posterior", None)
    if posterior == "gumbel_softmax":
        return {"choices": model.config.num_choices}
    return {"sphere": True} if posterior == "von_mises_fisher" else {}


def _gaussian(model: Any) -> dict[str, Any] | None:
    """Mean of a Gaussian fitted to the codes, and the triangle of its scale, where one was."""
    fitted = model.samplers["gaussian"] if "gaussian" in model.samplers else None
    if fitted is None or not fitted.fitted:
        return None
    rows = _rounded(fitted.scale_tril)
    triangle = [row[: place + 1] for place, row in enumerate(rows)]
    return {"mean": _rounded(fitted.mean[None])[0], "scale": triangle}


def _rounded(rows: Tensor) -> list[list[float]]:
    """What single precision tells apart, in few characters."""
    return [[float(f"{value:.8g}") for value in row] for row in rows.detach().tolist()]
