"""What a card's training would do, in text and without training."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Optimizer
from transformers import SchedulerType, Trainer, get_scheduler

from zoo.card import Card
from zoo.errors import UsageError

from .around.ema import EMA
from .gradients.chain import Chain
from .optimizing import chain_of, groups_of
from .rates import ParameterGroups
from .recipe import Recipe, one_line
from .recipes import build_recipe
from .settings import blamed, with_settings

POINTS = (0, 5, 10, 25, 50, 75, 90, 100)  # per cent of a run
NOMINAL_STEPS = 1000  # of a run whose length is not known without its data


def check_steps(recipe: Recipe) -> tuple[ParameterGroups, Chain, EMA | None]:
    """Rates, operations and average of a recipe, for a model on the meta device.

    Raises:
        UsageError: they do not fit the model or each other, or the optimizer or the scheduler
            does not take its settings; names the card.
    """
    arguments = recipe.arguments
    with torch.device("meta"):
        model = recipe.make_model()
    try:
        groups = groups_of(model, arguments, recipe.rates)
        chain = chain_of(recipe.operations, arguments)
        kind, settings = Trainer.get_optimizer_cls_and_kwargs(arguments, model)
        optimizer = kind(**{**settings, "params": [dict(group) for group in groups]})
        chain.attach(optimizer, model).remove()  # looks whether every pattern has a name
        make_scheduler(recipe, optimizer, 0, NOMINAL_STEPS)
        if arguments.activation_checkpointing:
            model.activation_checkpointing_enable()
        average = None if recipe.ema is None else EMA(model, **recipe.ema)
    except UsageError as error:
        raise UsageError(f"{recipe.card.path}: [train] {error}") from error
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{recipe.card.path}: [train] {one_line(error)}; mend the setting or leave it out"
        ) from error
    return groups, chain, average


def explain(card: Card, overrides: Sequence[str] = ()) -> str:
    """Data, parameter groups, schedule, operations on gradients and average, in plain text.

    Args:
        card: with [data] and [train]; the data is not read.
        overrides: `key=value` settings in place of the card's.

    Raises:
        UsageError: the card is wrong, or its parts do not fit each other.
    """
    card = with_settings(card, overrides)
    with blamed(card, overrides):
        recipe = build_recipe(card)
        groups, chain, average = check_steps(recipe)
    operations = [f"{number}. {each!r}" for number, each in enumerate(chain.operations, start=1)]
    parts = {
        **recipe.in_words(),
        "Rates": groups.describe(),
        "Schedule": schedule(recipe),
        "Gradients, before each step": "\n".join(operations) or "as they are",
        "Average of the weights": _average_in_words(recipe, average),
    }
    return "\n\n".join(f"{title}\n{text}" for title, text in parts.items() if text)


def schedule(recipe: Recipe) -> str:
    """How long a recipe trains, and the learning rate at the top on the way."""
    arguments = recipe.arguments
    known = arguments.max_steps > 0
    length = (
        f"{arguments.max_steps:,} steps" if known else f"{arguments.num_train_epochs:g} epochs"
    )
    batch = arguments.per_device_train_batch_size
    parts = arguments.gradient_accumulation_steps
    batches = f"batches of {batch}" if parts == 1 else f"batches of {parts} x {batch}"
    name = str(getattr(arguments.lr_scheduler_type, "value", arguments.lr_scheduler_type))
    optimizer = str(getattr(arguments.optim, "value", arguments.optim))
    lines = [f"{length} in {batches}, {optimizer}, {name}"]
    steps = arguments.max_steps if known else NOMINAL_STEPS
    warm_up = arguments.get_warmup_steps(steps)
    if arguments.warmup_steps >= 1 and not known:
        lines.append(f"after {warm_up:,} steps of warm-up:")
        warm_up = 0
    rates = _rates(recipe, warm_up, steps)
    cells = [(f"{point} %", f"{rates[point * steps // 100]:.3g}") for point in POINTS]
    widths = [max(map(len, cell)) for cell in cells]
    for row in zip(*cells, strict=True):
        line = "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(line)
    return "\n".join(lines)


def _rates(recipe: Recipe, warm_up: int, steps: int) -> list[float]:
    """The learning rate of every step and after the last."""
    arguments = recipe.arguments
    optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=arguments.learning_rate)
    scheduler = make_scheduler(recipe, optimizer, warm_up, steps)
    rates = [scheduler.get_last_lr()[0]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])
    return rates


def make_scheduler(recipe: Recipe, optimizer: Optimizer, warm_up: int, steps: int) -> Any:
    """The scheduler that a recipe names.

    Raises:
        UsageError: it does not take its settings.
    """
    kind = SchedulerType(recipe.arguments.lr_scheduler_type)
    settings: Any = recipe.arguments.lr_scheduler_kwargs
    try:
        return get_scheduler(kind, optimizer, warm_up, steps, settings or None)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"lr_scheduler_type {kind.value!r} with lr_scheduler_kwargs {settings!r}: "
            f"{one_line(error)}"
        ) from error


def _average_in_words(recipe: Recipe, average: EMA | None) -> str:
    if average is None:
        return ""
    beside = recipe.card.train.average_beside
    place = "beside the weights of the last step" if beside else "instead of the last weights"
    return f"decay {average.decay:g}, warm-up {average.warm_up}, saved {place}"
