"""From an id of any registry to what transformers' own entry points take."""

import importlib
import os
from logging import CRITICAL
from pathlib import Path
from typing import Any

from zoo import catalog, registry
from zoo.advice import advice
from zoo.errors import NotFoundError, UsageError
from zoo.hints import did_you_mean
from zoo.loading import (
    Located,
    head_at,
    load_for,
    model_at,
    quietly,
    tokenizer_at,
)
from zoo.registry.manifest import read_config

Name = str | os.PathLike[str]

#: Pipelines of texts, each with the heads of transformers that it runs; of any, the backbone.
OF_TEXTS: dict[str, tuple[str, ...]] = {
    "fill-mask": ("ForMaskedLM",),
    "text-generation": ("ForCausalLM", "LMHeadModel"),
    "text-classification": ("ForSequenceClassification",),
    "token-classification": ("ForTokenClassification",),
    "feature-extraction": tuple(catalog.HEADS),
}
#: Pipelines of images, each with what a model can do that it runs, and the method that does it.
OF_IMAGES = {
    "image-feature-extraction": ("encodes", "encode"),
    "unconditional-image-generation": ("samples", "sample"),
}
TASKS = (*OF_TEXTS, *OF_IMAGES)


def resolve(name: Name, *, revision: str | None = None, source: str | None = None) -> str:
    """The folder of a model, checked: what `from_pretrained` of every library takes.

    Nothing is asked of any network for what came with genae or lies in the cache. Where the files
    are of classes of genae's own, transformers' Auto classes know them from then on.

    Args:
        name: an id, or a folder.
        revision: a version, branch, tag or commit.
        source: the only registry to ask, in place of the search order.

    Returns:
        A path.

    Raises:
        NotFoundError: there is no such model or revision.
        NotAllowedError: it is gated.
        IntegrityError: its files differ from their manifest, or are not sound.
        UnsafeError: its only weights are pickled.
        UsageError: the name is empty.

    Example:
        >>> pipeline("fill-mask", model=zoo.resolve("genae/bert-poetry-zh"))  # doctest: +SKIP
    """
    place = registry.resolve(name, revision, source=source)
    files = ("config.json", "tokenizer_config.json", "preprocessor_config.json")
    kept = [path.read_bytes() for path in map(Path(place).joinpath, files) if path.is_file()]
    if any(b'"genae_' in text or b'"Genae' in text for text in kept):
        importlib.import_module("zoo.models")  # which tells the Auto classes of genae's own
    return place


def load_tokenizer(name: Name, *, revision: str | None = None, source: str | None = None) -> Any:
    """The tokenizer of a model; arguments and errors as of `resolve`.

    Raises:
        NotFoundError: likewise, or the model has no tokenizer.
        IntegrityError: likewise, or its tokenizer's files are malformed.
        MissingDependencyError: the tokenizer needs a package that is not installed.
    """
    return _tokenizer(resolve(name, revision=revision, source=source), str(name))


def _tokenizer(place: str, name: str) -> Any:
    if not (Path(place) / "tokenizer.json").is_file():
        raise NotFoundError(f"{name} has no tokenizer.json; is it a language model?")
    return tokenizer_at(place, name)


def pipeline(
    task: str,
    name: Name,
    *,
    revision: str | None = None,
    source: str | None = None,
    **options: Any,
) -> Any:
    """A pipeline of transformers with a model of any registry.

    Args:
        task: fill-mask, text-generation, text-classification, token-classification,
            feature-extraction (a vector for each token), image-feature-extraction (the code of an
            image), or unconditional-image-generation, whose pipeline is called with a number of
            images and what the model's `sample` takes: `pipe(16, seed=0)`.
        name: an id, or a folder.
        revision: a version, branch, tag or commit.
        source: the only registry to ask, in place of the search order.
        **options: of `transformers.pipeline`, such as `device` and `batch_size`.

    Returns:
        The pipeline, its model in float32 and in evaluation mode.

    Raises:
        UsageError: there is no such task, or the model does something else; says what.
        NotFoundError: there is no such model, or it has no weights, tokenizer or image processor.
        IntegrityError: its files are malformed.
        MissingDependencyError: its tokenizer needs a package that is not installed.

    Example:
        >>> zoo.pipeline("fill-mask", "genae/bert-poetry-zh")("[MASK]眠不覺曉")  # doctest: +SKIP
    """
    if task not in TASKS:
        raise UsageError(
            f"no pipeline {task!r}. {did_you_mean(task, TASKS)} There are {', '.join(TASKS)}."
        )
    if "dtype" in options:
        raise UsageError(f"dtype={options['dtype']!r}: pass none, and call pipe.model.to(dtype)")
    place = resolve(name, revision=revision, source=source)
    config = read_config(Path(place))
    entry = catalog.find_config(config.get("model_type"), config.get("architectures") or ())
    found = Located(str(name), place, entry, config)
    fit = tasks_of(found)
    if task not in fit:
        makes = f"its pipelines are {', '.join(fit)}" if fit else "no pipeline fits it"
        raise UsageError(
            f"{task} does not fit {name}, a model of the class {_class(found)}; {makes}; "
            f"{advice(str(name), config)}"
        )
    if task in OF_IMAGES:
        from zoo import image_pipelines  # needs torch

        network, processor = load_for(found, OF_IMAGES[task][1])
        options = {"image_processor": processor} | options
        return image_pipelines.PIPELINES[task](model=network, task=task, **options)
    import transformers

    network = _network(task, found)
    if "tokenizer" not in options:
        options["tokenizer"] = _tokenizer(place, found.name)
    make: Any = transformers.pipeline
    with quietly(CRITICAL):  # of classes that are not its own it says so
        return make(task, model=network, **options)


def tasks_of(model: Located) -> list[str]:
    """The pipelines that fit a model, by its head or by what its architecture can do."""
    can = catalog.abilities(model.entry, model.config.get("architectures") or ())
    if model.entry.reads == "images":
        return [task for task, (ability, _) in OF_IMAGES.items() if ability in can]
    if model.entry.reads != "texts":
        return []
    head = next((head for head in catalog.HEADS if _class(model).endswith(head)), "")
    fit = [task for task, heads in OF_TEXTS.items() if head in heads]
    return ["fill-mask", *fit] if head == "ForPreTraining" and "fills" in can else fit


def _class(model: Located) -> str:
    """The name of a model's class."""
    return str((model.config.get("architectures") or [model.entry.model_class])[0])


def _network(task: str, model: Located) -> Any:
    """The model that a pipeline of texts runs."""
    if task == "fill-mask":
        return head_at(model.place, model.name, "ForMaskedLM")
    network = model_at(model.place, dtype="float32")
    if task == "feature-extraction":
        backbone = network.base_model
        return backbone.get_encoder() if network.config.is_encoder_decoder else backbone
    room = getattr(network.config, "max_position_embeddings", None)
    if task == "text-generation" and room:  # else transformers writes on where no position is left
        network.generation_config.max_length = room
    return network
