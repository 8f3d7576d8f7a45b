"""Where an autoencoder's codes come from, as arrays and as lines of NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.models.images.priors import GaussianPriors
from zoo.models.images.samplers import FullGaussian, GaussianMixture

Arrays = dict[str, NDArray[Any]]
FILE = "samplers.npz"

NORMAL = "latents = chance.standard_normal((16, {size}))"
SPHERE = f"""{NORMAL}
latents /= np.linalg.norm(latents, axis=1, keepdims=True)"""
CHOICES = """chosen = chance.integers({choices}, size=(16, {count}))
latents = np.eye({choices})[chosen].reshape(16, {size})"""
CENTERS = """chosen = chance.integers(len(samplers["prior.centers"]), size=16)
latents = samplers["prior.centers"][chosen] + chance.standard_normal((16, {size}))"""
GAUSSIAN = """noise = chance.standard_normal((16, {size}))
latents = samplers["gaussian.mean"] + noise @ samplers["gaussian.scale_tril"].T"""
MIXTURE = """weights = samplers["mixture.weights"].astype("float64")
chosen = chance.choice(len(weights), size=16, p=weights / weights.sum())
noise = chance.standard_normal((16, {size}, 1))
scatter = (samplers["mixture.scale_trils"][chosen] @ noise)[:, :, 0]
latents = samplers["mixture.means"][chosen] + scatter"""
CODES = """prior = InferenceSession("prior.onnx")
latents = np.zeros((16, {height}, {width}), "int64")
for row, column in np.ndindex({height}, {width}):
    (logits,) = prior.run(None, {{"codes": latents}})
    odds = np.exp(logits[:, row, column] - logits[:, row, column].max(1, keepdims=True))
    reached = odds.cumsum(1) / odds.sum(1, keepdims=True)
    latents[:, row, column] = (reached <= chance.random((16, 1))).sum(1).clip(max={codes} - 1)"""


def recipes(model: Any) -> tuple[Arrays, dict[str, str]]:
    """What a model's codes are drawn from, by the names of its samplers.

    Args:
        model: an autoencoder.

    Returns:
        The arrays that the lines read, by `sampler.name`; the lines, which set `latents` of 16
        images with a NumPy generator `chance`. Samplers that have not been fitted are left out.
    """
    config = model.config
    values = {"size": config.latent_size}
    if getattr(config, "num_codes", None):
        if getattr(model, "prior", None) is None:
            return {}, {}
        height, width = config.grid_shape
        line = CODES.format(height=height, width=width, codes=config.num_codes)
        return {}, {"prior": line}
    arrays: Arrays = {}
    lines = {"prior": NORMAL}
    kind = getattr(config, "posterior", "gaussian")
    if kind == "von_mises_fisher":
        lines["prior"] = SPHERE
    elif kind == "gumbel_softmax":
        lines["prior"] = CHOICES
        count = config.latent_size // config.num_choices
        values |= {"choices": config.num_choices, "count": count}
    elif isinstance(prior := getattr(model, "prior", None), GaussianPriors):
        lines["prior"] = CENTERS
        arrays["prior.centers"] = prior.centers().detach().numpy()
    for name, drawn in ((FullGaussian, GAUSSIAN), (GaussianMixture, MIXTURE)):
        for label, sampler in model.samplers.items():
            if isinstance(sampler, name) and sampler.fitted:
                lines[label] = drawn
                arrays |= {f"{label}.{key}": each.numpy() for key, each in sampler.named_buffers()}
    return arrays, {name: text.format(**values) for name, text in lines.items()}


def save(path: Any, arrays: Arrays) -> None:
    """Write arrays as float32, without a pickle."""
    write: Any = np.savez  # whose stub takes every name for that of an option
    write(path, **{name: each.astype("float32") for name, each in arrays.items()})
