"""The architectures of genae, as strings: reading this table imports nothing.

A new architecture is one row here. `load` turns a reference into the class it names.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from zoo.errors import UsageError
from zoo.hints import did_you_mean

PROCESSOR = "zoo.models.image_processing_genae:GenaeImageProcessor"


@dataclass(frozen=True, slots=True)
class Entry:
    """One architecture. References are written `package.module:Class`.

    Attributes:
        name: what a card's `architecture` says; `config.json` says it as `model_type`.
        title: the architecture in words.
        config: reference to the configuration class.
        model: reference to the model class.
        auto: the Auto class of transformers that finds the model.
        task: the Hub's pipeline tag.
        paper: where the method was described; empty for textbook methods.
        processor: reference to the image processor class; empty where none is needed.
        type: the `model_type` of another library's model; empty for genae's own.
    """

    name: str
    title: str
    config: str
    model: str
    auto: str = "AutoModel"
    task: str = "unconditional-image-generation"
    paper: str = ""
    processor: str = PROCESSOR
    type: str = ""

    @property
    def model_type(self) -> str:
        """The `model_type` in `config.json`, prefixed so that no other library's is met."""
        return self.type or f"genae_{self.name}"

    @property
    def model_class(self) -> str:
        """Name of the model class, as `config.json` lists it under `architectures`."""
        return class_name(self.model)


ENTRIES = (
    Entry(
        name="ae",
        title="autoencoder",
        config="zoo.models.configuration_ae:AEConfig",
        model="zoo.models.modeling_ae:AEModel",
    ),
    Entry(
        name="vae",
        title="variational autoencoder",
        config="zoo.models.configuration_vae:VAEConfig",
        model="zoo.models.modeling_vae:VAEModel",
        paper="arXiv:1312.6114",
    ),
    Entry(
        name="eae",
        title="entropic autoencoder",
        config="zoo.models.configuration_eae:EAEConfig",
        model="zoo.models.modeling_eae:EAEModel",
        paper="Ghose et al., UAI 2020",
    ),
    Entry(
        name="classifier",
        title="convolutional classifier",
        config="zoo.models.configuration_classifier:ClassifierConfig",
        model="zoo.models.modeling_classifier:ClassifierModel",
        auto="AutoModelForImageClassification",
        task="image-classification",
    ),
)

#: What converted checkpoints become where transformers has the architecture.
CONVERTED = (
    Entry(
        name="bert",
        title="BERT",
        config="transformers:BertConfig",
        model="transformers:BertForMaskedLM",
        auto="AutoModelForMaskedLM",
        task="fill-mask",
        paper="arXiv:1810.04805",
        processor="",
        type="bert",
    ),
)

ARCHITECTURES: dict[str, Entry] = {entry.name: entry for entry in ENTRIES}


def load(reference: str) -> Any:
    """Import what a reference names.

    Args:
        reference: `package.module:attribute`, as the rows of this catalog write it. Never pass
            text from a card or a config here.

    Returns:
        The attribute, usually a class.
    """
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def class_name(reference: str) -> str:
    """The attribute's name: `zoo.models.modeling_ae:AEModel` -> `AEModel`."""
    return reference.partition(":")[2]


def find(name: str) -> Entry:
    """The row of an architecture.

    Raises:
        UsageError: no architecture has this name; the message has the nearest.
    """
    known = {entry.name: entry for entry in (*ENTRIES, *CONVERTED)}
    if name not in known:
        raise UsageError(f"no architecture named {name!r}. {did_you_mean(name, known)}")
    return known[name]


def find_config(model_type: str | None, architectures: Iterable[str] = ()) -> Entry:
    """The row that a `config.json` belongs to.

    Args:
        model_type: the file's `model_type`, such as `genae_vae`.
        architectures: the file's class names, asked when the type says nothing.

    Raises:
        UsageError: the configuration is not one of genae's.
    """
    names = set(architectures)
    for entry in (*ENTRIES, *CONVERTED):
        if entry.model_type == model_type:
            return entry
    for entry in ENTRIES:
        if model_type is None and entry.model_class in names:
            return entry
    hint = did_you_mean(str(model_type), [entry.model_type for entry in ENTRIES])
    raise UsageError(
        f"model_type {model_type!r} is not one of genae's. {hint} "
        "Models of other libraries load with transformers.AutoModel."
    )


def classes() -> dict[str, str]:
    """Every public class by name, as references: models, configurations, image processors."""
    references = [ref for e in ENTRIES for ref in (e.model, e.config, e.processor)]
    return {class_name(reference): reference for reference in references}
