"""Training on texts."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo import catalog, ranks
from zoo.card import Card
from zoo.data.sources import DATASETS
from zoo.data.text import (
    PREDICTED,
    TASKS,
    Task,
    TextOptions,
    Texts,
    moved,
    to_stderr,
    token_frequencies,
    train_tokenizer,
)
from zoo.errors import UsageError
from zoo.hints import quote

from . import adapters, processes
from .adversarial.objective import Objective
from .adversarial.objectives import OBJECTIVES
from .class_weights import check_class_weights, class_weights
from .divergence import LOSS_EXAMPLES, check_model, check_outputs, loss_in_use
from .given_weights import GivenWeights, given_weights
from .material import Material, held_out
from .predictions import begin_with, check_causal
from .recipe import Recipe, build_parts
from .streams import Endless
from .tables import build
from .text_settings import find_class, head_table, text_config, text_options
from .text_streams import TextExamples
from .text_trainer import CollatingTrainer
from .tokenizers import TRAINED_IDS, fit_inputs, fitted_length, load_tokenizer, token_ids
from .validating import a_few, validate, whole


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """A recipe for a model of texts.

    Attributes:
        task: what the model is trained for.
        options: of the texts; their labels are known with the data.
        objective: replaces the plain loss; the mean over the batches of a step in any case.
        tokenizer: the one that the card names, or that of the start; None for one that is trained
            from the data.
        start: the model whose weights it begins with; None for fresh ones.
    """

    task: Task
    options: TextOptions
    objective: Objective
    tokenizer: Any
    start: GivenWeights | None

    def make_model(self) -> Any:
        """A fresh model with the head of the task, and adapters where the card has them."""
        return self._with_adapters(find_class(self.card, self.task)(self.config))

    def begin(self) -> tuple[Any, str]:
        """A model as training begins with it, and of a given one a line on what is fresh.

        Raises:
            UsageError: the weights of the start do not fit the config.
        """
        if self.start is None:
            return self.make_model(), ""
        labelled = bool(self.task.label or self.task.marks)
        kind = find_class(self.card, self.task)
        try:
            begun = self.start.load(kind, self.config, labelled=labelled)
        except UsageError as error:
            raise UsageError(f"{self.card.path}: {error}") from error
        return self._with_adapters(begun.model), self.start.in_words(begun)

    def _with_adapters(self, model: Any) -> Any:
        if (settings := self.card.train.lora) is not None:
            fresh = bool(self.task.label or self.task.marks)
            adapters.add_adapters(model, settings, head=fresh)
        return model

    @property
    def start_record(self) -> dict[str, Any] | None:
        """What a manifest says of the model whose weights it begins with."""
        return None if self.start is None else self.start.record

    def in_words(self) -> dict[str, str]:
        """Task and tokenizer, and what replaces the plain loss or the weights."""
        train, wanted = self.card.train, self.card.tokenizer
        vocabulary = (
            f"a vocabulary of {wanted['kind']}, {wanted['size']} at most"
            if "kind" in wanted
            else f"the vocabulary of {wanted.get('id', train.start_from)}"
        )
        longest = f"up to {self.options.max_length} tokens of a text"
        kind = self.options.head.get("kind")
        task = f"{self.task.name}, by a head of kind {kind}" if kind else self.task.name
        return {
            "Texts": f"{task}: {longest}, {vocabulary}",
            "Weights at the beginning": self.begin()[1],
            "Objective": _in_words(train.adversarial),
            "Weights of labels": _in_words(train.class_weights),
            "Adapters, trained in place of the weights": _in_words(train.lora),
        }

    @property
    def rates(self) -> dict[str, Any]:
        """Settings of `parameter_groups`; with adapters, they alone are trained.

        What a class of transformers computes anew where files lack it, it never trains.
        """
        rates = super().rates
        if self.card.train.lora is None and not self.entry.rebuilt:
            return rates
        return rates | {"rules": [*rates.get("rules", ()), adapters.FROZEN]}

    def load(self, *, quiet: bool = False) -> "TextMaterial":
        """The train split as tokens, with the tokenizer and the config that it leads to."""
        data, options, task = self.data, self.options, self.task

        def read(split: str) -> Any:
            return task.read(self.dataset, split, options, config=data.config, quiet=quiet)

        texts = read(data.train_split)
        try:
            options = replace(options, labels=options.labels or task.classes(texts, options))
        except UsageError as error:
            raise UsageError(f"{data.dataset} {data.train_split} {error}") from error
        tokenizer = self.tokenizer
        if tokenizer is None:
            wanted = self.card.tokenizer
            tokenizer = train_tokenizer(
                Texts(texts, task.texts(options)),
                wanted["kind"],
                wanted["size"],
                lowercase=wanted.get("lowercase", False),
                template=task.template,
            )
        fit_inputs(tokenizer, catalog.find(self.card.architecture).reads_mask)
        ids = token_ids(tokenizer)
        config = text_config(self.card, task, len(tokenizer), ids, options.labels, self.start)
        recipe = replace(self, config=config, options=options, tokenizer=tokenizer)
        if options.streaming:
            rows = _stream(recipe, texts)
        else:
            rows = task.prepare(texts, tokenizer, options, None if quiet else to_stderr)
            check_batches(recipe, len(rows))
        asked = recipe.arguments.do_eval
        choose = whole if asked else a_few
        validation = held_out(
            data,
            lambda split: choose(task.prepare(read(split), tokenizer, options, None)),
            quiet=quiet,
            needed=asked,
        )
        return TextMaterial(
            recipe,
            rows,
            validation or (),
            None if quiet else to_stderr,
            class_weights(self.card, options.labels, rows),
        )


def _stream(recipe: TextRecipe, texts: Any) -> Endless:
    """The share of this process in texts that have no length."""
    task, tokenizer, options = recipe.task, recipe.tokenizer, recipe.options
    packer = partial(task.packer, tokenizer, options) if options.packing else None
    encode, pad = task.encoder(texts, tokenizer, options), task.collator(tokenizer, options).pad
    return Endless(
        texts,
        TextExamples(encode, packer, pad),
        recipe.arguments.train_batch_size // ranks.count(),
        seed=recipe.arguments.seed,
        rank=ranks.rank(),
        count=ranks.count(),
        name=f"data set {recipe.data.dataset} {recipe.data.train_split}",
    )


def _in_words(settings: dict[str, Any] | str | None) -> str:
    if isinstance(settings, str):
        return settings
    return ", ".join(f"{name} {value}" for name, value in (settings or {}).items())


def text_recipe(card: Card, output_dir: str | Path) -> TextRecipe:
    """Add task, options, objective and tokenizer to what any recipe has.

    The arguments are those of `build_recipe`.

    Raises:
        UsageError: with the card, the table and the key.
    """
    assert card.data is not None
    task = TASKS[str(card.data.task)]
    tag = catalog.HEADS[task.head(head_table(card, task)).ending][1]
    if card.task != tag:
        raise UsageError(
            f"{card.path}: 'task' is {card.task!r}, and a model for {task.name} is found on the "
            f"Hub as {tag!r}; write that"
        )
    start = given_weights(card)
    tokenizer = _tokenizer(card, start)
    if tokenizer is None:
        size, ids = card.tokenizer["size"], TRAINED_IDS
    else:
        size, ids = len(tokenizer), token_ids(tokenizer)
    config = text_config(card, task, size, ids, start=start)
    find_class(card, task)
    check_class_weights(card, "" if task.several else task.head(head_table(card, task)).ending)
    parts = build_parts(card, output_dir, config)
    try:
        options = text_options(card, config)
        task.check(options, tokenizer)
    except UsageError as error:
        raise UsageError(f"{card.path}: [data] {error}") from error
    source = DATASETS.get(card.data.dataset)
    if source is not None and not source.text_columns:
        raise UsageError(
            f"{card.path}: data set {card.data.dataset} has no texts; name another one"
        )
    try:
        objective = (
            Objective()  # transformers would sum accumulated batches of some models
            if card.train.adversarial is None
            else build(card.train.adversarial, "kind", OBJECTIVES, "objective")
        )
    except UsageError as error:
        raise UsageError(f"{card.path}: [train.adversarial] {error}") from error
    return TextRecipe(*parts, task, options, objective, tokenizer, start)


def _tokenizer(card: Card, start: GivenWeights | None) -> Any:
    """The tokenizer of a card, or that of the start; None for one that is still to be trained.

    Raises:
        UsageError: it has other tokens than the start.
    """
    if "id" not in card.tokenizer:
        return None if start is None else start.tokenizer()
    tokenizer = load_tokenizer(card.tokenizer["id"])
    if start is not None and start.tokenizer().get_vocab() != tokenizer.get_vocab():
        raise UsageError(
            f"{card.path}: [tokenizer] {card.tokenizer['id']} has other tokens than "
            f"{start.wanted}, whose weights the training begins with; leave [tokenizer] out"
        )
    return tokenizer


def check_batches(recipe: TextRecipe, count: int) -> None:
    """Refuse a data set that is smaller than a batch, which would train nothing.

    Raises:
        UsageError: naming the setting that fixes it.
    """
    arguments = recipe.arguments
    where = f"{recipe.data.dataset} {recipe.data.train_split}"
    processes.check_last(count, arguments, where)
    if count < arguments.train_batch_size and arguments.dataloader_drop_last:
        size = max(1, count // max(1, arguments.n_gpu))
        packed = recipe.options.packing
        rows = f"blocks of {recipe.options.max_length} tokens" if packed else "texts"
        raise UsageError(
            f"{recipe.data.dataset} {recipe.data.train_split} has {count} {rows}, fewer than "
            f"one batch of {arguments.train_batch_size}; change it with "
            f"--set {quote(f'per_device_train_batch_size={size}')}"
        )


@dataclass(frozen=True)
class TextMaterial(Material):
    """Tokens of texts.

    Attributes:
        recipe: of the training, its config as the data wants it.
        rows: the train split, as `Task.prepare` makes it.
        validation: some rows of the validation split; none without one.
        note: told which weights are given ones, if any; None if nobody is.
        class_weights: of each label in the loss, (labels,); None where all weigh the same.
    """

    recipe: TextRecipe
    rows: Any
    validation: Sequence[Any] = ()
    note: Callable[[str], Any] | None = None
    class_weights: Tensor | None = None

    @cached_property
    def collator(self) -> Any:
        """What makes batches of rows."""
        return self.recipe.task.collator(self.recipe.tokenizer, self.recipe.options)

    def make_model(self) -> Any:
        """A model that was seen to read no token before its time.

        The biases of fresh predictions begin with the frequencies of tokens, where there are any,
        which it would learn first: of a masked model that takes some hundred steps.
        """
        model, said = self.recipe.begin()
        if said and self.note is not None:
            self.note(f"begins with {said}")
        name = self.recipe.task.name
        if name == "causal-lm":
            check_causal(model)
        if name in PREDICTED and not self.recipe.options.streaming and not said:
            begin_with(model, token_frequencies(name, self.rows, self.recipe.tokenizer))
        return model

    def trainer(self, model: Any, **settings: Any) -> CollatingTrainer:
        """A Trainer that masks anew in each step."""
        return CollatingTrainer(
            model=model,
            args=self.recipe.arguments,
            train_dataset=self.rows,
            collator=self.collator,
            grouped=self.recipe.options.group_by_length,
            mean_over=self.recipe.task.head(self.recipe.options.head).mean_over,
            objective=self.recipe.objective,
            class_weights=self.class_weights,
            **settings,
        )

    def inputs(self, device: Any) -> dict[str, Any]:
        """A batch of the first texts, with the same masks each time."""
        if isinstance(self.rows, Endless):
            return self._batch(self.rows.first(LOSS_EXAMPLES), device)
        return self._batch(list(itertools.islice(iter(self.rows), LOSS_EXAMPLES)), device)

    def _batch(self, rows: Sequence[Any], device: Any) -> dict[str, Any]:
        made = self.collator.finish(self.collator.pad(rows), torch.Generator().manual_seed(0))
        return moved(made, device)

    def validation_inputs(self, model: Any) -> list[Callable[[], dict[str, Any]]]:
        """Batches of equally many texts, and what is left if that is all."""
        size = min(LOSS_EXAMPLES, len(self.validation)) or 1
        starts = range(0, len(self.validation) - size + 1, size)
        return [
            partial(self._batch, self.validation[start : start + size], model.device)
            for start in starts
        ]

    def validate(self, model: Any) -> dict[str, float]:
        """Loss and scores on the texts of the validation split."""
        make = partial(self._batch, device=model.device)
        return validate(model, self.recipe.task.name, self.validation, make)

    def loss(self, model: Any) -> float:
        """The loss on the first texts."""
        return loss_in_use(model, lambda: self.inputs(model.device))

    def finish(self, model: Any) -> Any:
        """The model, its adapters merged."""
        if self.recipe.card.train.lora is not None:
            model = adapters.merged(model)
        check_model(model)
        check_outputs(model, self.inputs(model.device))
        return model

    def save(self, model: Any, folder: Path, *, quiet: bool = True) -> None:
        """The tokenizer."""
        fitted_length(self.recipe.tokenizer, self.recipe.options.max_length, folder)
