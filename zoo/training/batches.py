"""Batch, data set and model, checked against each other before the first step."""

import copy
from typing import Any

import torch
from transformers import TrainingArguments

from zoo.data.images import Images, to_values
from zoo.errors import UsageError
from zoo.hints import quote

from . import processes
from .recipe import Recipe

MIN_FITTED = 2  # images, to whose codes a sampler is fitted


def check_together(model: Any, recipe: Recipe, images: Images) -> None:
    """Refuse what would stop in the middle of a run, and name the settings that fix it.

    Args:
        model: on the CPU; not changed.
        recipe: of the training.
        images: the train split.

    Raises:
        UsageError: there are fewer images than a batch, than the samplers or the model's loss
            need, or batches are smaller than that; or labels do not fit the model.
    """
    data, arguments = recipe.data, recipe.arguments
    batch, devices = arguments.train_batch_size, max(1, arguments.n_gpu)
    count = max(len(images), batch) if data.streaming else len(images)  # all batches are full
    where = f"{data.dataset} {data.train_split}"
    check_labels(model, images, where)
    reasons: list[str] = []
    settings: dict[str, Any] = {}
    dropped = arguments.dataloader_drop_last or bool(data.streaming)
    needed = needed_images(model, arguments, images, dropped)
    title = recipe.entry.title
    needs = f"{'an' if title[0] in 'aeiou' else 'a'} {title} needs at least"
    neighbors = getattr(recipe.config, "num_neighbors", None)
    if count < needed:
        if neighbors is None or count < 2:
            raise UsageError(
                f"{where} has {count_text(count)}, too few: {needs} {needed} images per batch; "
                "add some"
            )
        reasons.append(f"{needs} {neighbors + 1} images per batch with num_neighbors {neighbors}")
        needed = settings["num_neighbors"] = count
        settings["num_neighbors"] -= 1
    if count < batch and dropped:
        reasons.append(f"fewer than one batch of {batch}")
        batch = count
        settings["per_device_train_batch_size"] = max(1, count // devices)
    if not data.streaming:
        processes.check_last(count, arguments, where)
    last = count % batch or batch
    if min(batch, count) < needed:
        reasons.append(f"in batches of {batch}: {needs} {needed} images per batch")
        batch = needed
        settings["per_device_train_batch_size"] = -(-needed // devices)
        last = count % batch or batch
    if not dropped and min(last, count) < needed:
        if "per_device_train_batch_size" not in settings:
            reasons.append(
                f"in batches of {batch} with {last} left for the last: {needs} {needed} images "
                "per batch"
            )
        settings["dataloader_drop_last"] = "true"
    samplers = recipe.card.train.samplers
    for name in samplers:
        if name not in getattr(model, "samplers", ()):
            raise UsageError(
                f"{recipe.card.path}: [train] samplers names {name!r}, which this {title} lacks; "
                "leave it out, as --set train.samplers=[] does"
            )
    components = getattr(recipe.config, "num_mixture_components", 0)
    if samplers and count < MIN_FITTED:
        reasons.append(f"too few for the samplers, which are fitted to at least {MIN_FITTED}")
        settings["train.samplers"] = "[]"
    elif "mixture" in samplers and count < components:
        reasons.append(f"fewer than the mixture's {components} components")
        settings["num_mixture_components"] = count
    if reasons:
        changes = " ".join(f"--set {quote(f'{name}={value}')}" for name, value in settings.items())
        raise UsageError(
            f"{where} has {count_text(count)}, {'; '.join(reasons)}; change it with {changes}"
        )


def count_text(count: int) -> str:
    """A number of images as text."""
    return "1 image" if count == 1 else f"{count} images"


def check_labels(model: Any, images: Images, where: str) -> None:
    """Raise `UsageError` unless the labels for a model that learns them are its class numbers."""
    if not model.learns_labels:
        return
    if images.labels is None:
        raise UsageError(
            f"{where} has no labels, which this model learns; sort the images into folders"
        )
    smallest, largest = (int(value) for value in images.labels.aminmax())
    if smallest < 0:
        raise UsageError(
            f"{where} has the label {smallest}, which is not a class; leave those rows out"
        )
    if largest >= model.config.num_labels:
        raise UsageError(
            f"{where} has labels up to {largest}, the model's num_labels is "
            f"{model.config.num_labels}; change it with --set config.num_labels={largest + 1}"
        )


def needed_images(model: Any, arguments: TrainingArguments, images: Images, dropped: bool) -> int:
    """Minimum number of images in a batch: of the loss, and two if a batch norm needs them.

    Args:
        model: on the CPU; not changed.
        arguments: of the training.
        images: of the train split.
        dropped: whether no last batch is smaller.
    """
    needed: int = model.min_batch_size
    count, batch = len(images), arguments.per_device_train_batch_size
    smallest = batch if dropped else count % batch or batch
    if needed == 1 and 1 in (smallest, count) and not takes_one(model, images):
        return 2
    return needed


@torch.no_grad()
def takes_one(model: Any, images: Images) -> bool:
    """Whether a training step works on one image; model and random state do not change."""
    with torch.random.fork_rng(devices=[]):
        try:
            one = copy.deepcopy(model).train()
            one(to_values(images.pixels[:1]), return_loss=False)
        except ValueError:  # torch's: more than 1 value per channel
            return False
    return True
