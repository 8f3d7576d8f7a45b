"""Texts for the metrics: a model with its tokenizer, and rows prepared as its card says."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from zoo import catalog
from zoo.data.text import TASKS, Task, moved
from zoo.data.text.annotated.normal import TEXT, marks_of
from zoo.data.text.schemes import spells_entities
from zoo.errors import UsageError
from zoo.gathering import shared_rows
from zoo.labeling.reading import Labeler
from zoo.labeling.tagging import iter_extracted, iter_tagged

from .subject import Context, Subject, check_count

T = TypeVar("T")

BATCH = 32  # texts; part of what a seed means, so no option


class TextContext(Context):
    """A model of texts in eval mode with its tokenizer; the processor is the tokenizer.

    Attributes:
        task: what the card says the model was trained for, or its head if there is no card.
        options: of the texts, those of the card where it has any.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        card: Any = None,
        *,
        device: str | torch.device = "cpu",
        quiet: bool = False,
    ) -> None:
        """Find the task; raise `UsageError` for a head that none has. See `Context`."""
        super().__init__(model, tokenizer, card, device=device, quiet=quiet)
        data = getattr(card, "data", None)
        self.task = find_task(model, None if data is None else data.task)
        given = {} if data is None else dict(data.text_options)
        given["streaming"] = False
        given["head"] = next(iter((getattr(model.config, "heads", None) or {}).values()), {})
        if (self.task.label or self.task.marks) and not self.task.scored:
            given["labels"] = tuple(model.config.id2label.values())
        self.options = self.task.options("" if data is None else data.dataset, given)
        longest = getattr(model.config, "max_position_embeddings", None) or self.options.max_length
        if longest < self.options.max_length:
            self.options = replace(self.options, max_length=longest)

    @property
    def preparation(self) -> dict[str, Any]:
        """How texts become tokens, and which of them are predicted."""
        options = asdict(self.options)
        apart = ("labels", "group_by_length", "streaming", "head")
        kept = {name: value for name, value in options.items() if name not in apart}
        vocabulary = json.dumps(self.processor.get_vocab(), sort_keys=True).encode()
        return (
            {"task": self.task.name} | kept | {"the vocabulary": f"{zlib.crc32(vocabulary):08x}"}
        )

    def read(self, dataset: str, split: str, config: str | None = None) -> Any:
        """The columns of one split that the task needs."""

        def load() -> Any:
            place = self.places.get(dataset, dataset)
            return self.task.read(
                place, split, self.options, config=config, quiet=self.quiet, note=self.note
            )

        return self.once(("texts", dataset, split, config), load)

    def rows(self, texts: Any, *, floor: bool = False, **changes: Any) -> Any:
        """Texts as tokens, by the options of the card but for some changes.

        Args:
            texts: of one split.
            floor: whether they are those that a floor is made of; nothing is said of them.
            **changes: of the options.
        """
        options = replace(self.options, **changes)
        return self.task.prepare(texts, self.processor, options, None if floor else self.note)

    def text_batches(
        self, rows: Any, text: str, generator: torch.Generator
    ) -> Iterator[dict[str, Tensor]]:
        """What the model is called with, on its device; masks come from a generator of the CPU."""
        collator = self.task.collator(self.processor, self.options)
        starts = range(0, len(rows), BATCH)
        for start in self.track(starts, text, len(starts)):
            columns = rows[start : start + BATCH]
            chosen = [
                dict(zip(columns, values, strict=True))
                for values in zip(*columns.values(), strict=True)
            ]
            made = collator.finish(collator.pad(chosen), generator)
            yield moved(made, self.device)

    @property
    def can(self) -> tuple[str, ...]:
        """As of all models; a tagger whose labels spell entities finds entities, too."""
        spells = self.tags and spells_entities(self.tags)
        return (*super().can, "extracts") if spells else super().can

    @property
    def cannot(self) -> Mapping[str, str]:
        """As of all models; of a tagger whose labels spell no entities, that it finds none."""
        found = super().cannot
        if not self.tags or spells_entities(self.tags):
            return found
        labels = ", ".join(self.tags[:3]) + ", ..." * (len(self.tags) > 3)
        return {
            **found,
            "extracts": f"its labels ({labels}) spell no entities, as B-LOC, I-LOC do",
        }

    @property
    def tags(self) -> list[str]:
        """The labels of a tagger; none of another model."""
        able = catalog.abilities(self.entry, [type(self.model).__name__])
        return [*self.labeler.names().values()] if "tags" in able else []

    @property
    def labeler(self) -> Labeler:
        """The model as the verbs that label texts ask it."""
        name = getattr(self.card, "id", "") or type(self.model).__name__
        return Labeler(name, self.model, self.processor, head=None, max_length=None)

    def annotated(self, texts: Any) -> Iterator[tuple[str, list[Any]]]:
        """Texts of one split, each with its tags, entities or relations in normal form."""
        kind = str(self.task.marks)
        for batch in texts.iter(batch_size=1000):
            for text, cell in zip(batch[TEXT], batch[kind], strict=True):
                yield text, marks_of(kind, cell)

    def answers(self, subject: Subject, texts: list[str]) -> list[Any]:
        """What the model finds in texts, as `genae tag` or `genae extract`; once for all metrics.

        Args:
            subject: of the measurement.
            texts: some of its split.
        """
        ask = iter_tagged if "tags" in self.can else iter_extracted
        place = (subject.dataset, subject.split, subject.config, subject.seed)
        key = (*place, len(texts), subject.exclude_train_texts)
        return self.latest("answers", key, lambda: self.asked(ask, texts))

    def asked(self, ask: Callable[..., Iterable[T]], texts: Sequence[Any]) -> list[T]:
        """What the model answers to each of some texts; processes share them.

        Args:
            ask: one of the iterators of `zoo.labeling`.
            texts: or pairs of them.
        """
        return shared_rows(
            texts,
            lambda some: ask(self.labeler, some, total=len(some), quiet=self.quiet),
        )


def find_task(model: Any, named: str | None) -> Task:
    """What a model was trained for: what its card says, else what its head is for.

    Args:
        model: of texts.
        named: a key of `TASKS`; None where no card says it.

    Raises:
        UsageError: its head is for none.
    """
    if named is not None:
        return TASKS[named]
    name = type(model).__name__
    several = getattr(model.config, "problem_type", None) == "multi_label_classification"
    auto = "" if catalog.is_fine_tuned(name) else catalog.auto_class(name)
    for task in TASKS.values():
        endings = [ending for ending in task.endings if catalog.is_fine_tuned(ending)]
        plain = {catalog.HEADS[each][0] for each in task.endings if each not in endings}
        if (name.endswith(tuple(endings)) or auto in plain) and task.several in (False, several):
            if several and not task.several and task.label:
                continue
            return task
    endings = list(dict.fromkeys(ending for task in TASKS.values() for ending in task.endings))
    raise UsageError(
        f"{name} has a head that no metric measures; they are for {', '.join(endings)}"
    )


def context_of(subject: Subject) -> TextContext:
    """The context of a subject that is a model of texts."""
    context = subject.context
    assert isinstance(context, TextContext)
    return context


def some_texts(subject: Subject, num_texts: int | None) -> Any:
    """The texts of a split: all, or so many of them, chosen by the seed.

    Raises:
        UsageError: the number is not at least 1; or texts of the train split are to be left out,
            and there is none, or nothing else.
    """
    check_count("num_texts", num_texts)
    texts = context_of(subject).read(subject.dataset, subject.split, subject.config)
    if subject.exclude_train_texts:
        texts = _unseen(subject, texts)
    if num_texts is None or num_texts >= len(texts):
        return texts
    return texts.select(subject.order(len(texts), "texts")[:num_texts].sort().values.tolist())


def _unseen(subject: Subject, texts: Any) -> Any:
    """The texts that are not in the train split, of pairs those of which no such pair is."""
    context, train = context_of(subject), train_texts(subject)
    if train is None:
        raise UsageError(
            f"data set {subject.dataset} has no train split whose texts could be left out; leave "
            "out exclude_train_texts"
        )
    columns = context.task.texts(context.options)
    seen = set(zip(*(train[name] for name in columns), strict=True))
    rows = zip(*(texts[name] for name in columns), strict=True)
    kept = [number for number, row in enumerate(rows) if row not in seen]
    if not kept:
        raise UsageError(
            f"all texts of {subject.dataset} {subject.split} are in its train split; name another "
            "split"
        )
    return texts.select(kept)


def train_texts(subject: Subject) -> Any:
    """The texts that a floor is made of; None if the data set has no train split."""
    data = getattr(subject.context.card, "data", None)
    own = data is not None and data.dataset == subject.dataset
    split = data.train_split if data is not None and own else "train"
    try:
        return context_of(subject).read(subject.dataset, split, subject.config)
    except UsageError:  # no such split
        return None
