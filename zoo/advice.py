"""What to do with a model that cannot do what it was asked for. Standard library only."""

from collections.abc import Collection, Mapping
from typing import Any

from zoo import catalog
from zoo.errors import UsageError
from zoo.hints import command

#: The verb for what a model can do, by words of `catalog.ABILITIES`, with what it has to be given;
#: the first that fits counts.
VERBS = {
    "fills": ("fill-mask", "[MASK]"),
    "generates": ("generate",),
    "samples": ("sample", "-o", "samples.png"),
    "reconstructs": ("reconstruct", "IMAGES", "-o", "reconstructions.png"),
    "encodes": ("probe",),
    "tags": ("tag", "TEXT"),
    "extracts": ("extract", "TEXT"),
    "classifies": ("classify", "TEXT"),
    "answers": ("answer", "TEXT", "--question", "QUESTION"),
}
#: The same of models of images, where it is another verb.
OF_IMAGES = {"classifies": ("evaluate",)}
#: What the methods of models that verbs call need, words of `catalog.ABILITIES`.
METHODS = {
    "sample": "samples",
    "encode": "encodes",
    "decode": "reconstructs",
    "reconstruct": "reconstructs",
    "interpolate": "reconstructs",
}


def draws(config: Mapping[str, Any]) -> bool:
    """Whether a model whose architecture draws images has the parts for it, by its `config.json`.

    Example:
        >>> draws({"network": "layers", "encoder_layers": {}}), draws({"network": "dense"})
        (False, True)
    """
    encoder_alone = config.get("network") == "layers" and config.get("decoder_layers") is None
    without_codes = 0 in (config.get("num_codes"), config.get("prior_hidden_size"))
    return not (encoder_alone or without_codes)


def _has_both(config: Mapping[str, Any]) -> bool:
    """Whether an autoencoder has an encoder and a decoder, by its `config.json`."""
    halves = (config.get("encoder_layers"), config.get("decoder_layers"))
    return config.get("network") != "layers" or None not in halves


def _label(config: Mapping[str, Any], ability: str) -> tuple[str, ...]:
    """A label to write by, where a model has a table of them."""
    if ability != "generates" or not config.get("num_conditions"):
        return ()
    names = config.get("id2label") or {}
    return ("--label", str(names.get("0", names.get(0, 0))))


def verb_for(config: Mapping[str, Any], lacks: Collection[str] = ()) -> tuple[str, ...]:
    """What a model can do, the verb for it and what that has to be given; empty if nothing.

    Args:
        config: of the model, its `config.json`.
        lacks: abilities that its files have turned out to lack.

    Example:
        >>> verb_for({"model_type": "bert", "architectures": ["BertForEntityPointers"]})
        ('extracts', 'extract', 'TEXT')
    """
    architectures = config.get("architectures") or ()
    try:
        entry = catalog.find_config(config.get("model_type"), architectures)
    except UsageError:  # another library's
        return ()
    can = catalog.abilities(entry, architectures)
    verbs = VERBS if entry.reads == "texts" else VERBS | OF_IMAGES
    for ability, words in verbs.items():
        if ability == "samples" and not draws(config):
            continue
        if ability == "reconstructs" and not _has_both(config):
            continue
        heads = catalog.heads_that(ability, config)
        if (ability in can or heads) and ability not in lacks:
            several = ("--head", heads[0]) if len(heads) > 1 else ()
            return (ability, *words, *several, *_label(config, ability))
    return ()


def advice(name: str, config: Mapping[str, Any], lacks: Collection[str] = ()) -> str:
    """What a model can do and by which command, as the end of a sentence.

    Args:
        name: of the model, as it was called.
        config: its `config.json`.
        lacks: abilities that its files have turned out to lack.

    Example:
        >>> advice("genae/tiny-gpt", {"model_type": "genae_gpt"})
        'it writes texts: genae generate genae/tiny-gpt'
    """
    if found := verb_for(config, lacks):
        ability, verb, *words = found
        return f"it {catalog.ABILITIES[ability]}: {command('genae', verb, name, *words)}"
    return f"see {command('genae', 'info', name)}"


def refusal(name: str, config: Mapping[str, Any], network: Any, method: str) -> str:
    """Why a model of images cannot be asked for something, and what it can do; empty if it can.

    Args:
        name: of the model, as it was called.
        config: its `config.json`.
        network: the model.
        method: of it, that would be called.
    """
    cannot: Mapping[str, str] = getattr(network, "cannot", {})
    if not hasattr(network, method):
        title = catalog.find_config(config.get("model_type")).title
        return (
            f"{name} is a {title} and cannot {method}; {advice(name, config)}; `genae list` shows "
            "the models that draw"
        )
    if reason := cannot.get(METHODS.get(method, "")):
        return f"{name} cannot {method}: {reason}; {advice(name, config, cannot)}"
    return ""
