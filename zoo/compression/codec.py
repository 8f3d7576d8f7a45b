"""What a coder needs of a model: integer networks and distributions, read from its folder.

Weights are read as arrays, without torch, so that a command starts quickly.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo import catalog
from zoo.card import CARD_FILE, Card
from zoo.errors import ConflictError, IntegrityError, NotFoundError, UsageError
from zoo.hints import command
from zoo.registry import embedded, list_models, resolve

from .distributions import PIXELS, Pixels, Posterior
from .integers import MAX_ACTIVATION, IntegerNetwork, Matmul
from .tables import Doubles, tables

WEIGHTS = "model.safetensors"
#: What the distributions of codes have to be.
CODED = {"posterior": "gaussian", "posterior_scale": "log_variance", "prior": "standard"}
BATCH = 512  # images that the encoder reads at once
#: The command that trains a model of other images; grey ones need num_channels=1, in both tables.
TRAINING = command(
    "genae", "train", "genae/vae-faces-8bit", "--data", "FOLDER",
    "--set", "image_size=SIDE", "--set", "size=SIDE",
)  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """Identifies the weights that coded a file.

    Attributes:
        id: of the model, `owner/name`.
        version: of the model.
        sha256: of its weights file, 32 bytes.
    """

    id: str
    version: str
    sha256: bytes


@dataclass(frozen=True)
class Codec:
    """Everything that coding an image needs.

    Attributes:
        identity: of the model.
        shape: `(channels, height, width)`.
        latent_size: d.
        encoder: pixels to means and log-variances, integers.
        decoder: centres of buckets to the likelihood's parameters, integers.
        posterior: over buckets.
        pixels: the likelihood.
    """

    identity: Identity
    shape: tuple[int, int, int]
    latent_size: int
    encoder: IntegerNetwork
    decoder: IntegerNetwork
    posterior: Posterior
    pixels: Pixels

    def posteriors(self, values: np.ndarray) -> Doubles:
        """Means and log-variances `(n, 2 d)` of pixels `(n, C H W)`, in units of the grid."""
        blocks = [
            self.encoder(values[start : start + BATCH].astype(np.float64))
            for start in range(0, len(values), BATCH)
        ]
        return np.concatenate(blocks)

    def decoded(self, buckets: np.ndarray) -> Doubles:
        """The likelihood's parameters `(n, parameters C H W)` of buckets `(n, d)`."""
        return self.decoder(tables().centres[buckets])


def coded(card: Card) -> bool:
    """Whether the model of a card can compress."""
    return (
        "compresses" in catalog.find(card.architecture).can
        and card.config.get("network") == "dense"
        and card.config.get("likelihood") in PIXELS
        and not uncoded(card.config)
    )


def uncoded(config: Mapping[str, Any]) -> str:
    """What a configuration has otherwise than the coder needs it, in words; empty if nothing."""
    for field, needed in CODED.items():
        if (value := config.get(field, needed)) != needed:
            return f"its {field} is {value!r}, not {needed!r}"
    return ""


def fitting_models() -> list[Card]:
    """The models that compress and ship with genae."""
    return [
        card
        for card in list_models()
        if coded(card) and card.path and embedded.ships(card.path.parent)
    ]


def fitting_shapes(cards: Iterable[Card] | None = None) -> str:
    """A text on what the shipped models compress, and how to train one for other images."""
    texts = [
        f"{card.id} takes {_kind(card.config['likelihood'])} images of {_size(card)}"
        for card in (fitting_models() if cards is None else cards)
    ]
    return "; ".join([*texts, f"for others, square ones of any size, train one: {TRAINING}"])


def _kind(likelihood: str) -> str:
    return "two-valued" if PIXELS[likelihood].levels == 1 else "8-bit"


def _size(card: Card) -> str:
    side = card.config["image_size"]
    colours = "grey" if card.config.get("num_channels", 1) == 1 else "RGB"
    return f"{side} x {side} {colours} pixels"


def load_codec(
    name: str | os.PathLike[str], *, revision: str | None = None, matmul: Matmul = np.matmul
) -> Codec:
    """The coder of a model.

    Args:
        name: an id or a folder.
        revision: a version of the model.
        matmul: the matrix product of doubles that its networks use.

    Raises:
        NotFoundError: there is no such model.
        UsageError: it is not a dense VAE with a likelihood of whole pixel values.
        IntegrityError: its files are damaged.
    """
    folder = Path(resolve(name, revision=revision))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        content = (folder / WEIGHTS).read_bytes()
        card = Card.load(folder / CARD_FILE)
    except FileNotFoundError as error:
        raise NotFoundError(f"{name}: has no {Path(error.filename).name}; pull it again") from None
    except (ValueError, AttributeError) as error:
        raise IntegrityError(f"{name}: config.json cannot be read ({error})") from None
    likelihood = config.get("likelihood")
    if config.get("model_type") != "genae_vae" or config.get("network") != "dense":
        raise UsageError(
            f"{name} cannot compress: that takes a VAE with dense networks; {fitting_shapes()}"
        )
    if reason := uncoded(config):
        raise UsageError(f"{name} cannot compress: {reason}; {fitting_shapes()}")
    if likelihood not in PIXELS:
        raise UsageError(
            f"{name} cannot compress: its likelihood is {likelihood!r}, not a distribution of "
            f"whole pixel values ({', '.join(PIXELS)}); {fitting_shapes()}"
        )
    identity = Identity(card.id, card.version, hashlib.sha256(content).digest())
    try:
        return _build(identity, config, _tensors(content), matmul)
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise IntegrityError(f"{name}: weights and config.json differ ({error})") from None


def find_codec(identity: Identity, model: str | os.PathLike[str] | None = None) -> Codec:
    """The coder that a file was made with.

    Args:
        identity: as named in the file.
        model: a folder or id to take instead of the file's id.

    Raises:
        NotFoundError: the model does not exist.
        ConflictError: it is another model or version than the file's.
    """
    codec = load_codec(model or identity.id)
    if codec.identity != identity and model is None:
        try:
            codec = load_codec(identity.id, revision=f"v{identity.version}")
        except NotFoundError:
            pass  # reported below, with the version that is here
    if codec.identity != identity:
        raise ConflictError(
            f"the file was made with {_named(identity)}, and {model or 'what is here'} is "
            f"{_named(codec.identity)}; give the right one with --model"
        )
    return codec


def _named(identity: Identity) -> str:
    return f"{identity.id} {identity.version} (weights {identity.sha256.hex()[:12]})"


def _tensors(content: bytes) -> dict[str, Doubles]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return {name: value.astype(np.float64) for name, value in load(content).items()}
    except SafetensorError as error:
        raise IntegrityError(f"{WEIGHTS}: is damaged ({error}); pull the model again") from None


def _build(
    identity: Identity, config: dict[str, Any], tensors: dict[str, Doubles], matmul: Matmul
) -> Codec:
    side = config["image_size"]
    shape = (config["num_channels"], side, side)
    pixels = PIXELS[config["likelihood"]]()
    latents, count = config["latent_size"], len(config["hidden_sizes"]) + 1
    layers = {
        part: [
            (tensors[f"{part}.layers.{2 * i}.weight"], tensors[f"{part}.layers.{2 * i}.bias"])
            for i in range(count)
        ]
        for part in ("encoder", "decoder")
    }
    ends = {
        "encoder": (int(np.prod(shape)), 2 * latents),
        "decoder": (latents, pixels.parameters * int(np.prod(shape))),
    }
    for part, (first, last) in ends.items():
        weights = [weight for weight, _ in layers[part]]
        if (weights[0].shape[1], weights[-1].shape[0]) != (first, last):
            raise ValueError(f"{part} does not lead from {first} to {last} values")
    return Codec(
        identity,
        shape,
        latents,
        IntegerNetwork(
            layers["encoder"], levels=pixels.levels, max_input=pixels.levels, matmul=matmul
        ),
        IntegerNetwork(layers["decoder"], levels=None, max_input=MAX_ACTIVATION, matmul=matmul),
        Posterior(),
        pixels,
    )
