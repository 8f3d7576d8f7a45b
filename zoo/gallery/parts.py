"""What of a model the gallery shows: its parts as networks, and how codes for it are drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo.errors import UsageError
from zoo.gallery.tracing import Network, UnknownOperationError, trace
from zoo.loading import Located

#: From a model and its images or codes to what a part makes, in its config's sizes.
FUNCTIONS: Mapping[str, Callable[[Any, Tensor], Tensor]] = {
    "decode": lambda model, latents: model.decode(latents),
    "encode": lambda model, pixels: model.encode(pixels),
    "classify": lambda model, pixels: model(pixel_values=pixels).logits,
}
#: What a model must be able to do to have a part.
NEEDS = {"decode": "samples", "encode": "reconstructs", "classify": "classifies"}
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
    have = [name for name in wanted if NEEDS[name] in located.entry.can and _has(model, name)]
    if not have:
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
    facts = {
        "channels": config.num_channels,
        "side": side,
        "shown": processor.size,
        "latents": latents,
        "labels": _labels(config) if "classify" in parts or _centers(model) else [],
        "centers": _centers(model),
        "gaussian": _gaussian(model),
    }
    return Shown(facts, parts)


def _has(model: Any, part: str) -> bool:
    """Whether a model has what a part calls, with codes that are vectors of a moderate size."""
    latents = getattr(model.config, "latent_size", None)
    if part == "classify":
        return latents is None
    found = isinstance(latents, int) and latents <= MAX_LATENTS and hasattr(model, part)
    return found and hasattr(model, "samplers")


def _labels(config: Any) -> list[str]:
    """Names of labels; numbers where they have none."""
    return [
        str(number) if str(name) == f"LABEL_{number}" else str(name)
        for number, name in sorted(config.id2label.items())
    ]


def _centers(model: Any) -> list[list[float]]:
    """The mean code of each label, where the prior has them."""
    prior: Any = getattr(model, "prior", None)
    if not hasattr(prior, "centers") or not model.config.num_labels:
        return []
    return _rounded(prior.centers().detach().tolist())


def _gaussian(model: Any) -> dict[str, Any] | None:
    """Mean and scale of a Gaussian fitted to the codes, where one was."""
    samplers = getattr(model, "samplers", {})
    fitted = samplers["gaussian"] if "gaussian" in samplers else None
    if fitted is None or not fitted.fitted:
        return None
    return {
        "mean": _rounded([fitted.mean.tolist()])[0],
        "scale": _rounded(fitted.scale_tril.tolist()),
    }


def _rounded(rows: list[list[float]]) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in rows]
