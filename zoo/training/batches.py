"""Batch, data set and model, checked against each other before the first step."""

import copy
from inspect import signature
from typing import Any

import torch
from transformers import TrainingArguments

from zoo.data.images import Images
from zoo.errors import UsageError
from zoo.hints import quote

from .recipe import Recipe

FITTED = 2  # images at least, whose codes a sampler is fitted to


def check_together(model: Any, recipe: Recipe, images: Images) -> None:
    """Refuse what would stop in the middle of a run, with all settings that mend it.

    Args:
        model: on the CPU; left as it is.
        recipe: it is trained by.
        images: the train split.

    Raises:
        UsageError: there are fewer images than a batch, than the samplers or the model's loss
            need, or batches are smaller than that; or labels do not fit the model.
    """
    data, arguments = recipe.data, recipe.arguments
    count = len(images)
    where = f"{data.dataset} {data.train_split}"
    check_labels(model, images, where)
    reasons: list[str] = []
    settings: dict[str, Any] = {}
    needed = needed_images(model, arguments, images)
    title = recipe.entry.title
    needs = f"{'an' if title[0] in 'aeiou' else 'a'} {title} needs at least"
    neighbors = getattr(recipe.config, "num_neighbors", None)
    if count < needed:
        if neighbors is None or count < 2:
            raise UsageError(
                f"{where} has {told(count)}, too few: {needs} {needed} images a batch; add some"
            )
        reasons.append(f"{needs} {neighbors + 1} images a batch with num_neighbors {neighbors}")
        needed = settings["num_neighbors"] = count
        settings["num_neighbors"] -= 1
    batch, devices = arguments.train_batch_size, max(1, arguments.n_gpu)
    dropped = arguments.dataloader_drop_last
    if count < batch and dropped:
        reasons.append(f"fewer than one batch of {batch}")
        batch = count
        settings["per_device_train_batch_size"] = max(1, count // devices)
    batches = -(-needed // arguments.world_size)  # a loss sees those of all processes
    last = count % batch or batch
    if min(batch, count) < batches:
        reasons.append(f"in batches of {batch}: {needs} {needed} images a batch")
        batch = batches
        settings["per_device_train_batch_size"] = -(-batches // devices)
        last = count % batch or batch
    if not dropped and min(last, count) < batches:
        if "per_device_train_batch_size" not in settings:
            reasons.append(
                f"in batches of {batch} with {last} left for the last: {needs} {needed} images "
                "a batch"
            )
        settings["dataloader_drop_last"] = "true"
    samplers = recipe.card.train.samplers
    components = getattr(recipe.config, "num_mixture_components", 0)
    if samplers and count < FITTED:
        reasons.append(f"too few for the samplers, which are fitted to at least {FITTED}")
        settings["train.samplers"] = "[]"
    elif "mixture" in samplers and count < components:
        reasons.append(f"fewer than the mixture's {components} components")
        settings["num_mixture_components"] = count
    if reasons:
        changes = " ".join(f"--set {quote(f'{name}={value}')}" for name, value in settings.items())
        raise UsageError(
            f"{where} has {told(count)}, {'; '.join(reasons)}; change it with {changes}"
        )


def told(count: int) -> str:
    """A number of images in words."""
    return "1 image" if count == 1 else f"{count} images"


def check_labels(model: Any, images: Images, where: str) -> None:
    """Raise `UsageError` unless a model that learns labels is given numbers of its classes."""
    if "labels" not in signature(model.forward).parameters:
        return
    if images.labels is None:
        raise UsageError(f"{where} has no labels for a classifier; sort the images into folders")
    lowest, highest = (int(value) for value in images.labels.aminmax())
    if lowest < 0:
        raise UsageError(
            f"{where} has the label {lowest}, which is no class; leave those rows out"
        )
    if highest >= model.config.num_labels:
        raise UsageError(
            f"{where} has labels up to {highest}, the model's num_labels is "
            f"{model.config.num_labels}; change it with --set config.num_labels={highest + 1}"
        )


def needed_images(model: Any, arguments: TrainingArguments, images: Images) -> int:
    """Images that a batch needs: what the loss says, and two where a batch norm fails on one."""
    needed: int = model.min_batch_size
    count, batch = len(images), arguments.per_device_train_batch_size
    smallest = batch if arguments.dataloader_drop_last else count % batch or batch
    if needed == 1 and 1 in (smallest, count) and not takes_one(model, images):
        return 2
    return needed


@torch.no_grad()
def takes_one(model: Any, images: Images) -> bool:
    """Whether a training step can be made of one image; model and random numbers stay."""
    with torch.random.fork_rng(devices=[]):
        try:
            one = copy.deepcopy(model).train()
            one(images.pixels[:1].float() / 255, return_loss=False)
        except ValueError:  # torch's: more than 1 value per channel
            return False
    return True
