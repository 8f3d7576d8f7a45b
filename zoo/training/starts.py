"""Where a new card begins: for each architecture a shipped card, and what a first run changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GREY, COLOUR, POINTS = "grey", "colour", "points"


@dataclass(frozen=True)
class Start:
    """What a card of an architecture begins with.

    Attributes:
        card: the shipped card whose [config] and [train] it takes, as far as they fit.
        config: settings in place of that card's.
        train: likewise.
        steps: steps of a training; None for the `max_steps` of the card.
        max_size: larger images are shrunk to this side, in pixels.
        multiple: the side is a multiple of this.
    """

    card: str
    config: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = 2000
    max_size: int = 64
    multiple: int = 8


#: Keys of a shipped card's [train] that hold for other data.
KEPT = (
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "max_grad_norm", "ema"),
    *("weight_decay", "adam_beta1", "adam_beta2", "samplers", "save_strategy", "save_steps"),
)
#: Keys of a shipped card's [data] that do.
KEPT_OF_DATA = ("augmentations", "num_views")
#: Keys of [config] that the data decides.
OF_DATA = ("image_size", "num_channels", "input_shape", "num_labels")

SMALL = {"latent_size": 32, "width_multiplier": 0.125, "decoder_width_multiplier": 0.0625}
GAUSSIAN = {"likelihood": "gaussian", "scale": "shared", "scale_value": 0.3}
NARROW = {"width_multiplier": 0.25, "feature_size": 256}
PLANE = {"network": "dense", "min_sigma": 0.1, "max_sigma": 1.0}
#: By architecture, and by what the data is of.
IMAGES: dict[str, dict[str, Start]] = {
    "vae": dict.fromkeys((GREY, COLOUR), Start("vae-celeba", SMALL)),
    "eae": dict.fromkeys((GREY, COLOUR), Start("eae-faces")),
    "iwae": dict.fromkeys(
        (GREY, COLOUR),
        Start(
            "iwae-mnist", GAUSSIAN | {"importance_samples": 5}, steps=5000, max_size=32, multiple=1
        ),
    ),
    "vq_vae": dict.fromkeys(
        (GREY, COLOUR), Start("vq-vae-fashion-mnist", max_size=32, multiple=4)
    ),
    "infomax": {
        GREY: Start("infomax-fashion-mnist", NARROW, max_size=32),
        COLOUR: Start("infomax-cifar10", NARROW, max_size=32),
    },
    "dde": {
        GREY: Start("dde-mnist", steps=None, max_size=32, multiple=1),
        COLOUR: Start("dde-mnist", steps=None, max_size=32, multiple=1),
        POINTS: Start("dde-gaussians-2d", steps=None),
    },
    "mdsm": {
        GREY: Start("mdsm-fashion-mnist", steps=None, max_size=32),
        COLOUR: Start("mdsm-fashion-mnist", steps=None, max_size=32),
        POINTS: Start("dde-gaussians-2d", PLANE, steps=None),
    },
    "classifier": dict.fromkeys((GREY, COLOUR), Start("classifier-mnist")),
}
#: Of any other architecture of images.
IMAGE = Start("ae-mnist", {"latent_size": 32})

TEXTS: dict[str, Start] = {
    "synthesizer": Start("synthesizer-shakespeare", steps=None),
    "roformer": Start(  # whose sines are parameters that transformers itself does not train
        "synthesizer-shakespeare",
        train={
            "learning_rate": 5e-4,
            "rates": {"rules": [{"pattern": "*embed_positions*", "freeze": True}]},
        },
        steps=None,
    ),
    "genae_gau_alpha": Start(
        "synthesizer-shakespeare",
        {"num_attention_heads": 1, "attention_key_size": 64, "intermediate_size": 256},
        {"learning_rate": 5e-4},
        steps=None,
    ),
}
#: Of any other architecture of texts.
TEXT = Start("synthesizer-shakespeare", train={"learning_rate": 5e-4}, steps=None)
#: Sizes of configurations with other names; the first whose names all are fields.
SIZES: tuple[dict[str, int], ...] = (
    {"n_embd": 128, "n_layer": 4, "n_head": 4, "n_positions": 128},
    {"d_model": 128, "d_kv": 32, "d_ff": 512, "num_layers": 3, "num_heads": 4},
)
#: The task whose shipped card is a start, where the architecture has several heads.
FIRST_TASKS = {"synthesizer": "causal-lm"}
#: [train] of a text model that begins with given weights: 10 per cent of the steps are a warm-up.
FINE_TUNING = {"num_train_epochs": 3, "per_device_train_batch_size": 32, "warmup_steps": 0.1}
#: Its learning rate: that of a hidden size up to the first number, else of larger ones; Turc et
#: al., arXiv:1908.08962, and Devlin et al., arXiv:1810.04805, A.3.
FINE_TUNING_RATES = (512, 1e-4), 3e-5
#: Tokenizers by task.
TOKENIZERS: dict[str, dict[str, Any]] = {"causal-lm": {"kind": "characters", "size": 4000}}
TOKENIZER: dict[str, Any] = {"kind": "wordpiece", "size": 8000, "lowercase": False}
#: Characters of a token, at most, by the kind of tokenizer.
CHARACTERS = {"characters": 1.0, "wordpiece": 8.0}
