"""Batches of annotated texts, with labels in the form that each head learns from."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from .collators import Batch, Collator
from .options import TextOptions
from .row_numbers import Numbers, draw

NOTHING = -1  # fills up what texts have several of


class SeveralCollator(Collator):
    """Classes of a text as 0 and 1 for each, `(B, classes)`."""

    fields: ClassVar[tuple[str, ...]] = ("input_ids", "token_type_ids")

    def pad(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """As `Collator.pad`, with `labels` of floats."""
        batch = super().pad(rows)
        labels = torch.zeros(len(rows), len(self.options.labels))
        for held, row in zip(labels, rows, strict=True):
            held[torch.tensor(row["labels"], dtype=torch.long)] = 1
        return batch | {"labels": labels}


class PairsCollator(Collator):
    """Both texts of each pair, one behind the other: `(2 B, N)`, with `labels` `(B,)`."""

    fields: ClassVar[tuple[str, ...]] = ("input_ids",)

    def pad(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """As `Collator.pad`, of twice as many texts."""
        texts = [{"input_ids": row[name]} for row in rows for name in ("input_ids", "second_ids")]
        return super().pad(texts) | {
            "labels": torch.tensor([row["labels"] for row in rows]).float()
        }


class EntitiesCollator(Collator):
    """Spans of each type as starts and ends, `(B, types, slots, 2)`, or as `(B, types, N, N)`."""

    fields: ClassVar[tuple[str, ...]] = ("input_ids",)

    def __init__(self, tokenizer: Any, options: TextOptions) -> None:
        super().__init__(tokenizer, options)
        self.dense = options.head.get("loss", "dense") == "dense"  # as the head takes it

    def pad(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """As `Collator.pad`, with `labels` as places, filled up with (0, 0)."""
        spans = [row["spans"] for row in rows]
        listed = [[_of(each, 3, 0), _of(each, 3, 1, 2)] for each in spans]
        return super().pad(rows) | {"labels": slots(listed, len(self.options.labels))}

    def finish(self, batch: Batch, generator: Numbers = None) -> Batch:
        """Labels of every cell, where the head wants them."""
        if self.dense:
            length = batch["input_ids"].shape[1]
            batch = batch | {"labels": cells(batch["labels"], length)}
        return super().finish(batch)


class LinkedCollator(Collator):
    """Relations for the three pointers of GPLinker.

    `entity` has the subjects and the objects, `head` and `tail` of each predicate the first, and
    the last, tokens of both.
    """

    fields: ClassVar[tuple[str, ...]] = ("input_ids",)

    def __init__(self, tokenizer: Any, options: TextOptions) -> None:
        super().__init__(tokenizer, options)
        loss = options.head.get("loss", "sparse")
        own = {name: options.head.get(name) or {} for name in ("entity", "head", "tail")}
        self.dense = [name for name, table in own.items() if table.get("loss", loss) == "dense"]

    def pad(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """As `Collator.pad`, with `entity`, `head` and `tail` as places."""
        number = len(self.options.labels)
        entity, head, tail = [], [], []
        for spans in (row["spans"] for row in rows):
            subjects, targets = _of(spans, 5, 0, 1), _of(spans, 5, 3, 4)
            kinds = torch.cat([torch.zeros(len(subjects)), torch.ones(len(targets))]).long()
            entity.append([kinds[:, None], torch.cat([subjects, targets])])
            head.append([_of(spans, 5, 2), _of(spans, 5, 0, 3)])
            tail.append([_of(spans, 5, 2), _of(spans, 5, 1, 4)])
        return super().pad(rows) | {
            "entity": slots(entity, 2), "head": slots(head, number), "tail": slots(tail, number),
        }  # fmt: skip

    def finish(self, batch: Batch, generator: Numbers = None) -> Any:
        """The three as `labels`, of every cell where the head wants them."""
        length = batch["input_ids"].shape[1]
        rest = dict(batch)
        labels = {name: rest.pop(name) for name in ("entity", "head", "tail")}
        for name in self.dense:
            labels[name] = cells(labels[name], length)
        return {**super().finish(rest), "labels": labels}


class SubjectCollator(Collator):
    """Relations for half pointers: all subjects, and the objects of one that is drawn.

    As bert4keras's recipe draws it: a start among those of the subjects, then an end among theirs
    that is not before it. What is drawn may be no subject, which then has no objects. A text
    without relations has (0, 0).
    """

    fields: ClassVar[tuple[str, ...]] = ("input_ids",)

    def pad(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """As `Collator.pad`, with `spans` `(B, relations, 5)`, filled up with -1."""
        width = max(1, *(len(row["spans"]) // 5 for row in rows))
        spans = torch.full((len(rows), width, 5), NOTHING)
        for place, row in zip(spans, rows, strict=True):
            place[: len(row["spans"]) // 5] = torch.tensor(row["spans"]).reshape(-1, 5)
        return super().pad(rows) | {"spans": spans}

    def finish(self, batch: Batch, generator: Numbers = None) -> Any:
        """Draw a subject for each text, and label it."""
        rest = dict(batch)
        spans = rest.pop("spans")
        shape = *rest["input_ids"].shape, len(self.options.labels)
        present = spans[..., 0] != NOTHING
        first = self._drawn(_first_of_each(spans[..., :2], present), generator)
        starts = spans[..., 0].gather(1, first)
        later = _first_of_each(spans[..., :2], present) & (spans[..., 1] >= starts)
        ends = spans[..., 1].gather(1, self._drawn(later, generator))
        chosen = torch.cat([starts, ends], 1).clamp(min=0)
        of_it = present & (spans[..., :2] == chosen[:, None]).all(-1)
        labels = {
            "subject": torch.zeros(*shape[:2], 2, device=spans.device),
            "object": torch.zeros(*shape, 2, device=spans.device),
        }
        for side in (0, 1):
            row, slot = present.nonzero(as_tuple=True)
            labels["subject"][row, spans[row, slot, side], side] = 1
            row, slot = of_it.nonzero(as_tuple=True)
            labels["object"][row, spans[row, slot, 3 + side], spans[row, slot, 2], side] = 1
        return {**super().finish(rest), "subject_ids": chosen, "labels": labels}

    def _drawn(self, allowed: Tensor, generator: Numbers) -> Tensor:
        """One of those allowed in each row, each as likely as the others, `(B, 1)`."""
        keys = draw(torch.rand, allowed.shape, allowed.device, generator)
        return keys.masked_fill(~allowed, -1).argmax(1, keepdim=True)


def _first_of_each(subjects: Tensor, present: Tensor) -> Tensor:
    """Which slots are the first of their subject, `(B, slots)`."""
    same = (subjects[:, :, None] == subjects[:, None]).all(-1)
    return present & ~same.tril(-1).any(-1)


def _of(spans: Sequence[int], width: int, *columns: int) -> Tensor:
    """Some columns of a flat list of numbers, `(rows, columns)`."""
    return torch.tensor(spans, dtype=torch.long).reshape(-1, width)[:, columns]


def slots(rows: Sequence[Sequence[Tensor]], number: int) -> Tensor:
    """Places by heads, each once, filled up with (0, 0).

    Args:
        rows: of each text the heads `(spans, 1)` and the places `(spans, 2)`.
        number: of heads.

    Returns:
        `(texts, number, slots, 2)`, at least one slot.
    """
    found: list[list[list[tuple[int, int]]]] = []
    for heads, places in rows:
        lists: list[dict[tuple[int, int], None]] = [{} for _ in range(number)]
        for head, (start, end) in zip(heads.flatten().tolist(), places.tolist(), strict=True):
            lists[head][start, end] = None
        found.append([list(each) for each in lists])
    width = max(1, *(len(each) for lists in found for each in lists))
    made = torch.zeros(len(rows), number, width, 2, dtype=torch.long)
    for row, each in enumerate(found):
        for head, listed in enumerate(each):
            if listed:
                made[row, head, : len(listed)] = torch.tensor(listed)
    return made


def cells(places: Tensor, length: int) -> Tensor:
    """Places as 0 and 1 of every cell, `(B, heads, length, length)`; (0, 0) is none."""
    flat = places[..., 0] * length + places[..., 1]
    made = torch.zeros(*flat.shape[:2], length * length, device=places.device)
    made.scatter_(2, flat, 1.0)
    made[..., 0] = 0
    return made.view(*made.shape[:2], length, length)
