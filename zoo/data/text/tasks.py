"""What texts are trained for: columns, heads, rows and batches of each task."""

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.sources import DATASETS, no_bars
from zoo.errors import UsageError

from .collators import CausalCollator, Collator, MaskingCollator
from .encoding import Rows, check_texts, each_word, encode, jieba_numbers
from .labels import name_label, number_labels, stated_names
from .masking import IGNORED
from .options import TextOptions
from .packing import Packer, renumber, stream_rows

#: Makes rows of a batch of columns.
Encode = Callable[[list[list[Any]], Any, TextOptions], Rows]
BATCH_SIZE = 1000


def encode_masked(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Texts without a token that can be masked are left out."""
    (texts,) = columns
    length = None if options.packing else options.max_length
    wanted = {"add_special_tokens": not options.packing}
    rows = encode(tokenizer, columns, length, return_offsets_mapping=options.whole_words, **wanted)
    special = set(tokenizer.all_special_ids)
    if options.whole_words:
        rows["words"] = [
            renumber([-1 if t in special else w for t, w in zip(tokens, words, strict=True)])
            for tokens, words in zip(
                rows["input_ids"], map(jieba_numbers, texts, rows["offset_mapping"]), strict=True
            )
        ]
    return _keep(rows, [not special.issuperset(tokens) for tokens in rows["input_ids"]])


def encode_causal(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Texts with the token that ends them, where there is room for it behind the whole text.

    Of a text by itself, a token that no other follows teaches nothing, and is left out.
    """
    length = None if options.packing else options.max_length
    rows = encode(tokenizer, columns, length, add_special_tokens=False)
    end = separator(tokenizer)
    if length is not None and end is not None:
        rows["input_ids"] = [[*t, end] if len(t) < length else t for t in rows["input_ids"]]
    return _keep(rows, [len(tokens) > (length is not None) for tokens in rows["input_ids"]])


def encode_pairs(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Sources as what is read, targets as labels; pairs without either are left out."""
    sources, targets = columns
    rows = encode(tokenizer, [sources], options.max_length)
    wanted = encode(tokenizer, [targets], options.max_length)
    rows["labels"] = wanted["input_ids"]
    rows["cut"] = [one or other for one, other in zip(rows["cut"], wanted["cut"], strict=True)]
    present = [bool(s.strip() and t.strip()) for s, t in zip(sources, targets, strict=True)]
    return _keep(rows, present)


def encode_classified(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Texts, or pairs of them, with a class each."""
    *texts, labels = columns
    rows = encode(tokenizer, texts, options.max_length)
    rows["labels"] = number_labels(labels, options.labels, str(options.label))
    return _keep(rows, [bool(tokens) for tokens in rows["input_ids"]])


def encode_words(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Lists of words with a class each; only the first token of a word has a label."""
    texts, classes = columns
    if not tokenizer.is_fast:
        raise UsageError(
            "this tokenizer cannot say which words its tokens are of; take a fast one"
        )
    rows = encode(tokenizer, [texts], options.max_length, is_split_into_words=True)
    rows["labels"] = []
    for number, (words, names) in enumerate(zip(texts, classes, strict=True)):
        if len(words) != len(names):
            raise UsageError(
                f"a text has {len(words)} words and {len(names)} labels ({' '.join(words):.40}); "
                "give each word one label"
            )
        labels = number_labels(names, options.labels, str(options.label))
        ids = rows["word_ids"][number]
        firsts = [word is not None and word not in ids[:at] for at, word in enumerate(ids)]
        rows["labels"].append(
            [labels[word] if first else IGNORED for word, first in zip(ids, firsts, strict=True)]
        )
    return _keep(rows, [any(label >= 0 for label in labels) for labels in rows["labels"]])


def separator(tokenizer: Any) -> int | None:
    """The token that ends texts, or None."""
    end = tokenizer.eos_token_id
    found = end if end is not None else tokenizer.sep_token_id
    return None if found is None else int(found)


def to_stderr(words: str) -> None:
    """Say something to whoever watches."""
    print(words, file=sys.stderr)


def _keep(rows: Rows, kept: list[bool]) -> Rows:
    if all(kept):
        return rows
    return {
        name: [value for value, keep in zip(values, kept, strict=True) if keep]
        for name, values in rows.items()
    }


@dataclass(frozen=True)
class Task:
    """A task that texts are trained for.

    Attributes:
        name: its key in `TASKS`.
        head: what the class of a model for it ends with.
        columns: of texts, where none are named.
        encode: makes rows of a batch.
        collate: makes batches of rows.
        label: the column of labels, where none is named; None if the task has none.
        num_columns: how many columns of texts it takes.
        template: the special tokens of a tokenizer that is trained for it (`train_tokenizer`).
        packs: whether texts may be joined into blocks.
        masks: whether tokens are hidden.
        splits: whether its texts are lists of words.
    """

    name: str
    head: str
    columns: tuple[str, ...]
    encode: Encode
    collate: type[Collator]
    label: str | None = None
    num_columns: tuple[int, ...] = (1,)
    template: str = "[CLS] [SEP]"
    packs: bool = False
    masks: bool = False
    splits: bool = False

    def options(self, dataset: str, given: Mapping[str, Any]) -> TextOptions:
        """Options as a card gives them; where it names no columns, those of a built-in data set.

        Args:
            dataset: the card's.
            given: fields of `TextOptions`; columns and labels may be lists.
        """
        columns = tuple(given.get("columns", ()))
        source = DATASETS.get(dataset)
        if not columns and source is not None and not self.splits:
            own = source.text_columns
            columns = own if len(own) in self.num_columns else ()
        labels = tuple(given.get("labels", ()))
        return TextOptions(**{**given, "columns": columns, "labels": labels})

    def needed(self, options: TextOptions) -> tuple[str, ...]:
        """All columns of the data set that are read: of texts, then of labels."""
        columns = options.columns or self.columns
        label = options.label or self.label
        return (*columns, label) if self.label and label else columns

    def check(self, options: TextOptions, tokenizer: Any = None) -> None:
        """Raise `UsageError` if the options ask for what the task, or the tokenizer, has not."""
        if (count := len(options.columns or self.columns)) not in self.num_columns:
            wanted = " or ".join(map(str, self.num_columns))
            raise UsageError(f"{self.name} takes {wanted} columns of texts, got {count}")
        if options.labels and not self.label:
            raise UsageError(f"{self.name} tells no classes apart; leave labels out")
        if options.packing and not self.packs:
            raise UsageError(f"{self.name} keeps each text by itself; leave packing out")
        if options.whole_words and not self.masks:
            raise UsageError(f"{self.name} masks nothing; leave whole_words out")
        if tokenizer is None:
            return
        if self.masks and tokenizer.mask_token_id is None:
            raise UsageError("this tokenizer has no mask token; take another one")
        if options.whole_words and not tokenizer.is_fast:
            raise UsageError(
                "whole_words needs a fast tokenizer, which knows where its tokens are"
            )

    def prepare(
        self,
        dataset: Any,
        tokenizer: Any,
        options: TextOptions,
        note: Callable[[str], Any] | None = to_stderr,
    ) -> Any:
        """Tokenize a data set.

        Args:
            dataset: what `load_texts` returned.
            tokenizer: of transformers.
            options: of the texts; with labels, `options.labels` names all classes.
            note: told how many texts were cut, if any; None if nobody is.

        Returns:
            A data set of the same kind, with `input_ids`, `length` (of these), and as the task
            asks `labels`, `words`, `token_type_ids`. Texts without a token are left out.

        Raises:
            UsageError: the options do not fit, a cell is no text, a label no class, or nothing is
                left to train on.
        """
        import datasets

        self.check(options, tokenizer)
        names = self.needed(options)
        if self.label and not options.labels:
            raise UsageError(f"{self.name} needs the names of its classes: options.labels")
        stored = not isinstance(dataset, datasets.IterableDataset)
        label = names[-1] if self.label else None
        stated = stated_names(dataset, label) if label else ()
        rows = Encoder(self, tokenizer, replace(options, label=label), stored, stated)
        if not stored:
            stream = dataset.map(
                rows,
                batched=True,
                with_indices=True,
                batch_size=BATCH_SIZE,
                remove_columns=list(names),
            ).remove_columns("cut")
            packer = partial(self._packer, tokenizer, options) if options.packing else None
            made = {"stream": stream, "make_packer": packer}
            return datasets.IterableDataset.from_generator(stream_rows, gen_kwargs=made)
        with no_bars():
            tokens = _map(dataset, rows, with_indices=True)
            _check_some(tokens, dataset, "none has a token of the vocabulary; look at both")
            if note is not None:
                _report_cut(tokens, len(dataset), options.max_length, note)
            tokens = tokens.remove_columns("cut")
            if options.packing:
                tokens = _map(tokens, self._packer(tokenizer, options))
                _check_some(
                    tokens, dataset,
                    f"all are less than one block of {options.max_length} tokens; lower "
                    "max_length",
                )  # fmt: skip
        return tokens

    def collator(self, tokenizer: Any, options: TextOptions) -> Collator:
        """What makes batches of the rows of `prepare`."""
        return self.collate(tokenizer, options)

    def _packer(self, tokenizer: Any, options: TextOptions) -> Packer:
        around: Any = ([], [])
        if self.masks and tokenizer.cls_token_id is not None:
            around = ([tokenizer.cls_token_id], [])
        return Packer(options.max_length, separator(tokenizer), around)


def _map(dataset: Any, rows: Callable[..., Rows], **settings: Any) -> Any:
    return dataset.map(
        rows, batched=True, batch_size=BATCH_SIZE, remove_columns=dataset.column_names, **settings
    )


def _check_some(rows: Any, dataset: Any, reason: str) -> None:
    if not len(rows):
        raise UsageError(f"nothing is left of {len(dataset)} texts: {reason}")


def _report_cut(rows: Any, total: int, max_length: int, note: Callable[[str], Any]) -> None:
    """Say how many texts were cut, if any, as it changes what is learned."""
    batches = rows.select_columns(["cut"]).iter(batch_size=BATCH_SIZE)
    if count := sum(sum(batch["cut"]) for batch in batches):
        note(f"{count} of {total} texts are longer than {max_length} tokens and were cut")


class Encoder:
    """Rows of a batch of texts, for `datasets`, which stores them under a hash of this object.

    Args:
        task: of the texts.
        tokenizer: of transformers.
        options: of the texts.
        stored: whether rows go to disk, in half the space that lists of numbers would take.
        stated: the names of the numbers in the column of labels, where the data set has such.
    """

    def __init__(
        self,
        task: Task,
        tokenizer: Any,
        options: TextOptions,
        stored: bool,
        stated: tuple[str, ...] = (),
    ) -> None:
        self.task, self.tokenizer, self.options = task, tokenizer, options
        self.stored = stored
        # A model that knows none of these names knows classes by their numbers.
        self.stated = () if set(stated).isdisjoint(options.labels) else stated
        self.code = code_digest()  # what another version stored is no use

    def __call__(self, batch: Rows, numbers: list[int]) -> Rows:
        """The rows, without those that are empty."""
        names = self.task.needed(self.options)
        for name in self.options.columns or self.task.columns:
            values: Any = zip(numbers, batch[name], strict=True)
            if self.task.splits:
                values = each_word(values, name)
            check_texts(values, name)
        columns = [batch[name] for name in names]
        if self.stated:
            columns[-1] = name_label(columns[-1], self.stated)
        rows = self.task.encode(columns, self.tokenizer, self.options)
        kept = ("input_ids", "token_type_ids", "labels", "words", "cut")
        rows = {name: rows[name] for name in kept if name in rows}
        rows["length"] = list(map(len, rows["input_ids"]))
        return {name: _narrow(each) for name, each in rows.items()} if self.stored else rows


@cache
def code_digest() -> str:
    """SHA-256 of the modules that make rows."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _narrow(values: list[Any]) -> list[Any]:
    """Lists of numbers in half the space that they would take on disk."""
    if not values or not isinstance(values[0], list):
        return values
    return [np.array(value, dtype=np.int32) for value in values]


TASKS = {
    task.name: task
    for task in (
        Task(
            "masked-lm", "ForMaskedLM", ("text",), encode_masked, MaskingCollator,
            packs=True, masks=True,
        ),
        Task(
            "causal-lm", "ForCausalLM", ("text",), encode_causal, CausalCollator,
            template="", packs=True,
        ),
        Task(
            "seq2seq", "ForConditionalGeneration", ("source", "target"), encode_pairs, Collator,
            num_columns=(2,), template="[SEP]",
        ),
        Task(
            "classification", "ForSequenceClassification", ("text",), encode_classified, Collator,
            label="label", num_columns=(1, 2),
        ),
        Task(
            "tokens", "ForTokenClassification", ("tokens",), encode_words, Collator, label="tags",
            splits=True,
        ),
    )
}  # fmt: skip
