"""How transformers loads a result, and what it says meanwhile."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from zoo import catalog
from zoo.errors import UsageError

#: Auto classes of models that read texts; those that write them have no pooler to miss.
ENCODERS = ("AutoModel", "AutoModelForMaskedLM", "AutoModelForPreTraining")


@dataclass(frozen=True)
class Loading:
    """How a model is loaded exactly as it is: nothing random is added.

    Attributes:
        imports: statements, the last of which imports the loader.
        loader: a class with `from_pretrained`.
        more: what `from_pretrained` is given behind the place.
    """

    imports: tuple[str, ...]
    loader: str
    more: str = ""

    def call(self, place: str) -> str:
        """The call that loads the model from a place, a literal."""
        return f"{self.loader}.from_pretrained({place}{self.more})"


def loading(config: Mapping[str, Any], targets: Collection[str]) -> Loading:
    """How transformers loads a model.

    Args:
        config: the model's `config.json`.
        targets: names of its tensors.
    """
    architecture = str(config["architectures"][0])
    own = architecture.startswith("Genae")
    loader = catalog.auto_class(architecture) or architecture
    if "auto_map" in config:  # its code lies beside it
        return Loading((f"from transformers import {loader}",), loader, ", trust_remote_code=True")
    if catalog.is_fine_tuned(architecture):
        return Loading((f"from zoo.models import {architecture}",), architecture)
    if architecture in catalog.classes():
        return Loading((f"from zoo import {architecture}",), architecture)
    home = "zoo.models" if own and loader == architecture else "transformers"
    register = ("import zoo.models",) if own and home == "transformers" else ()
    lacks = loader == "AutoModel" and _may_lack(config, targets)
    more = ", add_pooling_layer=False" if lacks else ""
    return Loading((*register, f"from {home} import {loader}"), loader, more)


def _may_lack(config: Mapping[str, Any], targets: Collection[str]) -> bool:
    """Whether transformers would add a pooler of random numbers."""
    try:
        entry = catalog.find_config(str(config.get("model_type")))
    except UsageError:  # a model of transformers that the catalog does not have
        return False
    return bool(entry.optional) and not any(map(entry.leaves_open, targets))


def _has_no_pooler(
    entry: catalog.Entry, config: Mapping[str, Any], targets: Collection[str]
) -> bool:
    """Whether a model lacks a pooler that its class or its settings could have."""
    could = bool(entry.optional) or config.get("pooler") is False
    return could and not any(catalog.POOLER in name for name in targets)


def expected(config: Mapping[str, Any], targets: Collection[str]) -> list[str]:
    """What transformers says of a result when it loads it, and what to think of it."""
    architecture = str(config["architectures"][0])
    try:
        entry = catalog.find_config(str(config.get("model_type")))
    except UsageError:
        return []
    notes = []
    of_texts = catalog.auto_class(architecture) in ENCODERS
    if of_texts and _has_no_pooler(entry, config, targets):
        notes.append(
            "this checkpoint has no pooler: for a vector of a text take the mean of its last "
            "hidden state over its tokens"
        )
    if entry.rebuilt and not any(map(entry.rebuilds, targets)):
        notes.append(
            f"transformers calls {entry.rebuilt} missing when it loads the result: it computes "
            "this table itself, and nothing is missing"
        )
    if entry.optional and catalog.auto_class(architecture) == "AutoModelForMaskedLM":
        pooler = [name for name in targets if entry.leaves_open(name)]
        if pooler:
            notes.append(
                f"the pooler of the files is kept; {architecture} has none and calls "
                f"{pooler[0]} unexpected, AutoModel takes it"
            )
    return notes
