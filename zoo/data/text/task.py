"""A task that texts are trained for: its columns, heads, rows and batches."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from zoo.data.sources import DATASETS, no_bars
from zoo.errors import UsageError

from .annotated.normal import TEXT
from .annotated.reading import Reading, load_annotated, normal_form
from .collators import Collator
from .encoders import Encode, separator
from .encoding import Rows
from .labels import find_labels, find_several, stated_names
from .loading import load_texts
from .options import TextOptions
from .packing import Packer, stream_rows
from .rows import COUNTED, Encoder
from .schemes import complete, scheme_of

BATCH_SIZE = 1000


def to_stderr(words: str) -> None:
    """Say something to whoever watches."""
    print(words, file=sys.stderr)


@dataclass(frozen=True)
class Head:
    """What learns a task: a class, and how batches are made for it.

    Attributes:
        ending: what the class of a model for it ends with.
        collate: makes batches of rows.
        mean_over: what its loss is the mean over, a key of `COUNTS`; empty if it compares the
            texts of a batch.
    """

    ending: str
    collate: type[Collator]
    mean_over: str = "texts"


@dataclass(frozen=True)
class Task:
    """A task that texts are trained for.

    Attributes:
        name: its key in `TASKS`.
        heads: by the kind of the head's table, the usual one first; `""` is one without a table.
        columns: of texts, where none are named.
        encode: makes rows of a batch.
        label: the column of labels, where none is named; None if the task has none.
        num_columns: how many columns of texts it takes.
        template: the special tokens of a tokenizer that is trained for it (`train_tokenizer`).
        packs: whether texts may be joined into blocks.
        masks: whether tokens are hidden.
        marks: annotations that it reads in normal form: tags, entities or relations; empty if
            it reads columns as they are.
        several: whether a text may have several labels.
        scored: whether labels are numbers, not classes.
        min_labels: least number of classes that can be learned.
        table: settings of the usual head, besides its kind.
    """

    name: str
    heads: Mapping[str, Head]
    columns: tuple[str, ...]
    encode: Encode
    label: str | None = None
    num_columns: tuple[int, ...] = (1,)
    template: str = "[CLS] [SEP]"
    packs: bool = False
    masks: bool = False
    marks: str = ""
    several: bool = False
    scored: bool = False
    min_labels: int = 1
    table: Mapping[str, Any] = field(default_factory=dict)

    def head(self, table: Mapping[str, Any] | None = None) -> Head:
        """The head that a table asks for.

        Args:
            table: with a `kind`; empty or None for the usual one.

        Raises:
            UsageError: no head of that kind learns this task.
        """
        kind = (table or self.usual).get("kind", "")
        if kind not in self.heads:
            known = ", ".join(filter(None, self.heads)) or "none"
            raise UsageError(
                f"{self.name} is not learned by a head of kind {kind!r}; there are {known}"
            )
        return self.heads[kind]

    @property
    def usual(self) -> dict[str, Any]:
        """The table of the usual head; empty where it needs none."""
        kind = next(iter(self.heads))
        return {"kind": kind, **self.table} if kind else {}

    @property
    def endings(self) -> tuple[str, ...]:
        """What the classes of models for it end with."""
        return tuple(dict.fromkeys(head.ending for head in self.heads.values()))

    def options(self, dataset: str, given: Mapping[str, Any]) -> TextOptions:
        """Options as a card gives them; where it names no columns, those of a built-in data set.

        Args:
            dataset: the card's.
            given: fields of `TextOptions`; columns and labels may be lists.
        """
        columns = tuple(given.get("columns", ()))
        source = DATASETS.get(dataset)
        if not columns and source is not None and not self.marks:
            own = source.text_columns
            columns = own if len(own) in self.num_columns else ()
        labels = tuple(given.get("labels", ()))
        fixed = {"columns": columns, "labels": labels}
        return TextOptions(**{"head": self.usual, **given, **fixed})

    def texts(self, options: TextOptions) -> tuple[str, ...]:
        """The columns of texts in what `read` gives."""
        return (TEXT,) if self.marks else options.columns or self.columns

    def needed(self, options: TextOptions) -> tuple[str, ...]:
        """All columns of what `read` gives: of texts, then of labels."""
        if self.marks:
            return (TEXT, self.marks)
        columns = options.columns or self.columns
        label = options.label or self.label
        return (*columns, label) if self.label and label else columns

    def read(
        self,
        dataset: str,
        split: str,
        options: TextOptions,
        *,
        config: str | None = None,
        quiet: bool = False,
        note: Callable[[str], Any] | None = None,
    ) -> Any:
        """One split of a data set, as `prepare` takes it.

        Args:
            dataset: a name of `zoo.data.DATASETS`, a folder or file, or a Hub id.
            split: in the slicing syntax of `datasets`.
            options: of the texts.
            config: the configuration, where a data set has several.
            quiet: draw no progress bars, and say nothing.
            note: told what was taken for granted of annotations; None is stderr.

        Raises:
            GenaeError: as `load_texts` and `load_annotated`.
        """
        if not self.marks:
            return load_texts(
                dataset, split, self.needed(options), config=config,
                streaming=options.streaming, paragraphs=options.paragraphs, quiet=quiet,
            )  # fmt: skip
        note = None if quiet else note or to_stderr
        reading = self._reading(options)
        return load_annotated(
            dataset, split, self.marks, reading, config=config, note=note, quiet=quiet
        )

    def _reading(self, options: TextOptions) -> Reading:
        column = options.columns[0] if options.columns else None
        return Reading(
            column, options.label, options.layout, options.scheme, options.ends, options.labels
        )

    def classes(self, table: Any, options: TextOptions) -> tuple[str, ...]:
        """The names of all classes in a table of `read`, in the order of their numbers.

        Raises:
            UsageError: there are none, or too few to be told apart.
        """
        if self.scored or not (self.label or self.marks):
            return ()
        column = self.needed(options)[-1]
        if self.marks:
            field = {"tags": "label", "entities": "type"}.get(self.marks, "predicate")
            cells: Iterable[Any] = table[self.marks]
            found = tuple(sorted({one[field] for cell in cells for one in cell}))
            scheme = scheme_of(found) if self.marks == "tags" else None
            names = found if scheme is None else complete(found, scheme)
        elif self.several:
            names = find_several(table, column, options)
        else:
            names = find_labels(table, column)
        if len(names) < self.min_labels:
            what = f"one label, {names[0]!r}, and nothing to tell apart" if names else "no labels"
            raise UsageError(f"has {what}; name a split or a column with more")
        return names

    def check(self, options: TextOptions, tokenizer: Any = None) -> None:
        """Raise `UsageError` if the options ask for what the task, or the tokenizer, has not."""
        if (count := len(options.columns or self.columns)) not in self.num_columns:
            wanted = " or ".join(map(str, self.num_columns))
            raise UsageError(f"{self.name} takes {wanted} columns of texts, got {count}")
        if options.labels and (self.scored or not (self.label or self.marks)):
            raise UsageError(f"{self.name} tells no classes apart; leave labels out")
        if options.packing and not self.packs:
            raise UsageError(f"{self.name} keeps each text by itself; leave packing out")
        if options.whole_words and not self.masks:
            raise UsageError(f"{self.name} masks nothing; leave whole_words out")
        if options.streaming and (self.marks or self.several):
            raise UsageError(
                f"{self.name} looks at all labels before it begins; leave streaming out"
            )
        self.head(options.head)
        if tokenizer is None:
            return
        if self.masks and tokenizer.mask_token_id is None:
            raise UsageError("this tokenizer has no mask token; take another one")
        if (options.whole_words or self.marks) and not tokenizer.is_fast:
            raise UsageError(
                f"{self.name if self.marks else 'whole_words'} needs a fast tokenizer, which "
                "knows where its tokens are; take another one"
            )
        if self.marks in ("entities", "relations") and _edges(tokenizer) < 2:
            raise UsageError(
                f"{self.name} needs a tokenizer that puts a token before and one behind a text, "
                "as the first and the last are in no span; take another one"
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
            dataset: what `read` returned, or a `datasets.Dataset` of any form that it reads.
            tokenizer: of transformers.
            options: of the texts; with labels, `options.labels` names all classes.
            note: told how many texts were cut, or read in parts, and how many spans lie badly, if
                any; None if nobody is.

        Returns:
            A data set of the same kind, with `input_ids`, `length` (of these), and as the task
            asks `labels`, `spans`, `words`, `second_ids`, `token_type_ids`. Texts without a token
            are left out. Long texts with annotations are several rows.

        Raises:
            UsageError: the options do not fit, a cell is no text, a label no class, or nothing is
                left to train on.
        """
        import datasets

        self.check(options, tokenizer)
        if self.marks:
            dataset = normal_form(
                "given", dataset, self.marks, self._reading(options), note or _no
            )
        rows = self.encoder(dataset, tokenizer, options)
        if not rows.stored:
            stream = dataset.map(
                rows,
                batched=True,
                with_indices=True,
                batch_size=BATCH_SIZE,
                remove_columns=list(self.needed(options)),
            ).remove_columns("cut")
            packer = partial(self.packer, tokenizer, options) if options.packing else None
            made = {"stream": stream, "make_packer": packer}
            return datasets.IterableDataset.from_generator(stream_rows, gen_kwargs=made)
        with no_bars():
            tokens = _map(dataset, rows, with_indices=True)
            _check_some(tokens, dataset, "none has a token of the vocabulary; look at both")
            if note is not None:
                self._report(tokens, len(dataset), options.max_length, note)
            counted = [name for name in COUNTED if name in tokens.column_names]
            tokens = tokens.remove_columns(counted)
            if options.packing:
                tokens = _map(tokens, self.packer(tokenizer, options))
                _check_some(
                    tokens, dataset,
                    f"all are less than one block of {options.max_length} tokens; lower "
                    "max_length",
                )  # fmt: skip
        return tokens

    def encoder(self, dataset: Any, tokenizer: Any, options: TextOptions) -> Encoder:
        """What makes rows of tokens of a batch of rows of a data set.

        Args:
            dataset: as `read` returned it.
            tokenizer: of transformers.
            options: of the texts; with labels, `options.labels` names all classes.

        Raises:
            UsageError: the classes are not named.
        """
        import datasets

        if (self.marks or self.label) and not (self.scored or options.labels):
            raise UsageError(f"{self.name} needs the names of its classes: options.labels")
        label = self.needed(options)[-1] if self.label else None
        stated = stated_names(dataset, label) if label and not self.scored else ()
        stored = not isinstance(dataset, datasets.IterableDataset)
        return Encoder(self, tokenizer, replace(options, label=label), stored, stated)

    def collator(self, tokenizer: Any, options: TextOptions) -> Collator:
        """What makes batches of the rows of `prepare`."""
        return self.head(options.head).collate(tokenizer, options)

    def _report(self, rows: Any, total: int, max_length: int, note: Callable[[str], Any]) -> None:
        """Say what changes that which is learned: texts that were cut, spans that lie badly."""
        counts = {
            name: sum(sum(batch[name]) for batch in rows.select_columns([name]).iter(BATCH_SIZE))
            for name in COUNTED
            if name in rows.column_names
        }
        if count := counts["cut"]:
            done = "are read in parts" if self.marks else "were cut"
            note(f"{count} of {total} texts are longer than {max_length} tokens and {done}")
        if count := counts.get("bent", 0):
            note(f"{count} of the {self.marks} begin or end inside a token, which is taken whole")
        if count := counts.get("lost", 0):
            note(
                f"{count} of the {self.marks} are left out: they have no token of their own, or "
                "are whole in no part"
            )

    def packer(self, tokenizer: Any, options: TextOptions) -> Packer:
        """What joins rows of tokens into blocks of `options.max_length`."""
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


def _edges(tokenizer: Any) -> int:
    """On how many sides of a text a tokenizer adds tokens."""
    ids = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    return int(ids[:1].count(1) + ids[-1:].count(1))


def _no(_: str) -> None:
    """Say nothing."""
