"""Two toy architectures, as somebody would add them: what goes into the five places."""

import shutil
from pathlib import Path

#: What a copy of the tree needs to be tested in, besides the toys.
TREE = (
    "pyproject.toml",
    "zoo",
    "convert",
    "cards/__init__.py",
    "cards/examples/mnist",
    "cards/classifier-mnist",
    "cards/tiny-bert",
    "tests/conftest.py",
    "tests/tiny.py",
    "tests/weights.py",
    "tests/contract",
    "tests/house/test_cards.py",
    "tests/house/test_imports.py",
)

CONFIGURATION_IMAGE = '''
"""Settings of the toy image model."""

from huggingface_hub.dataclasses import strict

from .configuration_vae import VAEConfig


@strict
class ToyImageConfig(VAEConfig):
    """A variational autoencoder with one linear layer to the code.

    Args:
        pull: weight of the codes' squared length in the loss.
    """

    model_type = "genae_toy_image"

    pull: float | int = 0.0
'''

MODELING_IMAGE = '''
"""A toy: a variational autoencoder with one linear layer to the code."""

from torch import nn

from .configuration_toy_image import ToyImageConfig
from .modeling_vae import VAEModel


class ToyImageModel(VAEModel):
    """A linear encoder, and a loss that pulls codes to the origin."""

    config_class = ToyImageConfig

    def make_encoder(self, config):
        size = config.num_channels * config.image_size**2
        outputs = self.outputs_per_latent * config.latent_size
        return nn.Sequential(nn.Flatten(), nn.Linear(size, outputs))

    def forward(self, pixel_values, return_loss=True):
        output = super().forward(pixel_values, return_loss)
        if output.loss is not None:
            output.loss = output.loss + self.config.pull * output.latents.square().sum(1).mean()
        return output
'''

CONFIGURATION_TEXT = '''
"""Configuration of the toy text model."""

from huggingface_hub.dataclasses import strict

from .configuration_text import TextConfig


@strict
class GenaeToyTextConfig(TextConfig):
    """Sizes and options of `GenaeToyTextModel`; see `TextConfig`."""

    model_type = "genae_toy_text"

    type_vocab_size: int = 0
    pooler: bool = False
'''

MODELING_TEXT = '''
"""A toy text model: BERT without segments."""

from .configuration_toy_text import GenaeToyTextConfig
from .heads_classification import SequenceClassification, TokenClassification
from .heads_fine_tuning import fine_tuned
from .heads_pretraining import CausalLM, MaskedLM
from .modeling_text import TextModel, TextPreTrainedModel


class GenaeToyTextPreTrainedModel(TextPreTrainedModel):
    """What all heads share."""

    config_class = GenaeToyTextConfig
    base_model_prefix = "toy"


class GenaeToyTextModel(GenaeToyTextPreTrainedModel, TextModel):
    """Without heads."""


class GenaeToyTextForMaskedLM(GenaeToyTextPreTrainedModel, MaskedLM):
    """With the head that fills in masked tokens."""

    model_class = GenaeToyTextModel


class GenaeToyTextForCausalLM(GenaeToyTextPreTrainedModel, CausalLM):
    """With the head that predicts the next token."""

    model_class = GenaeToyTextModel


class GenaeToyTextForSequenceClassification(GenaeToyTextPreTrainedModel, SequenceClassification):
    """Classes of whole texts."""

    model_class = GenaeToyTextModel


class GenaeToyTextForTokenClassification(GenaeToyTextPreTrainedModel, TokenClassification):
    """Classes of every token."""

    model_class = GenaeToyTextModel


globals().update(
    fine_tuned("GenaeToyText", __name__, GenaeToyTextPreTrainedModel, GenaeToyTextModel)
)
'''

HEAD = """
schema = 1
id = "genae/{name}"
version = "1.0.0"
architecture = "{architecture}"
task = "{task}"
status = "recipe"
license = "apache-2.0"
summary = "A toy."
intended_use = "Tests."
limits = "Tests."
"""

CARD_IMAGE = (
    HEAD.format(name="toy-image", architecture="toy_image", task="unconditional-image-generation")
    + """
[config]
image_size = 32
latent_size = 2
network = "dense"
hidden_sizes = [8]
likelihood = "bernoulli"
num_mixture_components = 2
pull = 0.001

[processor]
size = 28
pad_size = 32
num_channels = 1

[data]
dataset = "examples-mnist"
train_split = "train"
license = "cc-by-sa-3.0"
binarization = "stochastic"

[train]
num_train_epochs = 1
per_device_train_batch_size = 32
seed = 0
use_cpu = true
samplers = ["gaussian", "mixture"]
"""
)

CARD_TEXT = (
    HEAD.format(name="toy-text", architecture="genae_toy_text", task="fill-mask")
    + f"""
[source]
format = "tf-checkpoint"
family = "bert"
url = "https://example.org/toy"
license = "apache-2.0"

[source.files]
"toy.ckpt.index" = "{"0" * 64}"
"""
)

#: New files.
FILES = {
    "zoo/models/images/configuration_toy_image.py": CONFIGURATION_IMAGE,
    "zoo/models/images/modeling_toy_image.py": MODELING_IMAGE,
    "zoo/models/text/configuration_toy_text.py": CONFIGURATION_TEXT,
    "zoo/models/text/modeling_toy_text.py": MODELING_TEXT,
    "cards/toy-image/card.toml": CARD_IMAGE,
    "cards/toy-text/card.toml": CARD_TEXT,
}
#: New rows: the file, the line they follow, themselves.
ROWS = (
    (
        "zoo/catalog.py",
        "IMAGES = (",
        """    Entry(
        name="toy_image",
        title="toy image model",
        config="zoo.models.images.configuration_toy_image:ToyImageConfig",
        model="zoo.models.images.modeling_toy_image:ToyImageModel",
        can=(*AUTOENCODES, "bounds"),
    ),""",
    ),
    (
        "zoo/catalog.py",
        "TEXTS = (",
        """    _ours("toy_text", "toy text model", "ToyText", "ForMaskedLM", ""),""",
    ),
    (
        "tests/tiny.py",
        "TINY: dict[str, dict[str, dict[str, Any]]] = {",
        """    "toy_image": {"plain": DENSE | BERNOULLI, "pulled": DENSE | COLOUR | {"pull": 0.5}},
    "genae_toy_text": {"plain": TEXT},""",
    ),
)


def copy_with_toys(root: Path, place: Path) -> None:
    """Copy a checkout, as little as the laws need, and put the toys into their places."""
    for name in TREE:
        target = place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        # Compiled files go along: copies keep the times by which they are known to be current.
        copy = shutil.copytree if (root / name).is_dir() else shutil.copy2
        copy(root / name, target)
    for name, text in FILES.items():
        assert not (place / name).exists(), name
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text.lstrip("\n"), encoding="utf-8")
    for name, line, rows in ROWS:
        text = (place / name).read_text(encoding="utf-8")
        assert text.count(f"\n{line}\n") == 1, line
        text = text.replace(f"\n{line}\n", f"\n{line}\n{rows}\n")
        (place / name).write_text(text, encoding="utf-8")
