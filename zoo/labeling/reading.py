"""A model that labels texts, its tokenizer, and texts in batches of like length."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo import catalog
from zoo.advice import advice
from zoo.device import put_on
from zoo.errors import NotFoundError, UsageError
from zoo.loading import Model, locate, model_at, tokenizer_at
from zoo.progress import Bar, items_bar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")
Made = TypeVar("Made")
#: Tokens of a text or a pair by the names of a model's inputs.
Inputs = dict[str, list[int]]
SEVERAL_HEADS = "ForMultiTask"
BATCH_SIZE = 32
#: Number of texts that are in memory at once, and number of batches that they are at least: of
#: like length are those of a window.
WINDOW, BATCHES = 4096, 16
MAX_LENGTH = 10**9  # what tokenizers take, whose own "no limit" is larger


@dataclass(frozen=True)
class Labeler:
    """A model that labels texts.

    Attributes:
        name: what it was called.
        network: float32 and in evaluation mode.
        tokenizer: its tokenizer.
        head: which of several heads is asked; None of a model with one.
        max_length: number of tokens that are read at once; None is as many as the model can.
    """

    name: str
    network: Any
    tokenizer: Any
    head: str | None
    max_length: int | None

    @property
    def limit(self) -> int:
        """Number of tokens that are read at once, those that stand for no text included."""
        positions = getattr(self.network.config, "max_position_embeddings", None)
        most = self.tokenizer.model_max_length
        return int(min(self.max_length or most, positions or most, most, MAX_LENGTH))

    @property
    def settings(self) -> Any:
        """The settings of the head that is asked; None of a head without any."""
        heads = getattr(self.network, "heads", None)
        if heads is None:
            return getattr(self.network, "settings", None)
        return heads[self.head or next(iter(heads))].settings

    @property
    def several(self) -> bool:
        """Whether several labels may hold."""
        if self.settings is not None and hasattr(self.settings, "activation"):
            return bool(self.settings.activation != "softmax")
        return bool(self.network.config.problem_type == "multi_label_classification")

    def names(self) -> dict[int, str]:
        """The names of the labels; `LABEL_0`, `LABEL_1` ... where nothing names them."""
        config, settings = self.network.config, self.settings
        if getattr(settings, "labels", None):
            return dict(enumerate(settings.labels))
        number = getattr(settings, "num_labels", None) or config.num_labels
        known = config.id2label if number == config.num_labels else {}
        return {place: str(known.get(place, f"LABEL_{place}")) for place in range(number)}

    def of_head(self, values: Any) -> Any:
        """What is of the head that is asked."""
        return values if self.head is None else values[self.head]

    def decode(self, outputs: Any, mask: "Tensor", **options: Any) -> Any:
        """What the model's own `decode` gives for each text; labels where it has none."""
        if not hasattr(self.network, "decode"):  # a class of transformers
            found = outputs.logits.argmax(-1)
            return [row[seen].tolist() for row, seen in zip(found, mask.bool(), strict=True)]
        chosen = options if self.head is None else {self.head: options}
        return self.of_head(self.network.decode(outputs, mask, **chosen))

    def ask(
        self,
        inputs: Sequence[Inputs],
        read: Callable[[Any, "Tensor"], Sequence[Any]],
        batch_size: int,
        bar: Callable[[float], None],
    ) -> list[Any]:
        """What is read from the outputs, one for each text; batches hold texts of like length.

        Args:
            inputs: of each text.
            read: from outputs and mask of a batch, an entry for each text of it.
            batch_size: number of texts in a batch.
            bar: is called with the share of all inputs that was just read, in [0, 1].
        """
        import torch

        order = sorted(range(len(inputs)), key=lambda row: -len(inputs[row]["input_ids"]))
        found: list[Any] = [None] * len(inputs)
        with torch.no_grad():
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                batch, mask = self._padded([inputs[row] for row in rows])
                answers = read(self.network(**batch), mask)
                for row, answer in zip(rows, answers, strict=True):
                    found[row] = answer
                bar(len(rows) / len(order))
        return found

    def _padded(self, rows: Sequence[Inputs]) -> tuple[dict[str, "Tensor"], "Tensor"]:
        """The inputs of a batch, and which tokens of it are of texts, `(batch, length)`."""
        import torch

        lengths = [len(row["input_ids"]) for row in rows]
        width = max(lengths)
        if "attention_mask" not in self.tokenizer.model_input_names:
            width = max(width, self.limit)  # learned from texts of one length, padding included
        fill = {"input_ids": self.tokenizer.pad_token_id or 0}
        device = self.network.device
        batch = {
            name: torch.tensor(
                [row[name] + [fill.get(name, 0)] * (width - len(row[name])) for row in rows],
                device=device,
            )
            for name in rows[0]
        }
        mask = torch.tensor(
            [[1] * length + [0] * (width - length) for length in lengths], device=device
        )
        return batch, mask


def answer_each(
    texts: Iterable[T],
    answer: Callable[[list[T], Callable[[float], None]], Iterable[Made]],
    *,
    batch_size: int,
    total: int | None,
    quiet: bool,
) -> Iterator[Made]:
    """What is answered to each text, in their order; some thousand of them are in memory at once.

    Args:
        texts: any number.
        answer: to the texts of a window, and a bar that is called with shares of it.
        batch_size: number of texts in a batch.
        total: number of texts, for the bar; None where nobody knows yet.
        quiet: draw no progress bar.
    """
    rest = iter(texts)
    with items_bar("texts", total, quiet=quiet) as bar:
        while window := list(islice(rest, max(WINDOW, BATCHES * batch_size))):
            yield from answer(window, _of_window(bar, len(window)))


def _of_window(bar: Bar, number: int) -> Callable[[float], None]:
    """A bar of texts that is called with shares of so many."""
    return lambda share: bar(share * number)


def check_numbers(**numbers: int | None) -> None:
    """Raise `UsageError` unless numbers are at least 1 or None."""
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise UsageError(f"{name} must be at least 1, got {number}")


def checked(texts: Iterable[Any], pairs: bool = False) -> Iterator[Any]:
    """The same texts, checked as they come.

    Args:
        texts: to be read.
        pairs: whether pairs of texts are read, too.

    Raises:
        UsageError: there is one text in place of a list, something else among them, or half a
            character in one.
    """
    if isinstance(texts, str):
        raise UsageError(f"texts is one text, {texts!r:.40}; put it into a list")
    for place, given in enumerate(texts):
        each = given if pairs and isinstance(given, tuple | list) else (given,)
        if {*map(type, each)} != {str} or len(each) > 2:
            wanted = "texts or pairs of texts" if pairs else "texts"
            raise UsageError(f"text {place} is {given!r:.40}; pass {wanted}")
        try:
            "".join(each).encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"text {place}, {given!r:.40}, has half a character (a surrogate); decode it again"
            ) from None
        yield given


def inputs_of(labeler: Labeler, encoded: Any) -> list[Inputs]:
    """What a tokenizer made of texts, a text at a time, as the model takes it."""
    names = [name for name in labeler.tokenizer.model_input_names if name in encoded]
    number = len(encoded["input_ids"])
    return [{name: encoded[name][row] for name in names} for row in range(number)]


def open_labeler(
    model: Model | Labeler,
    ability: str,
    verb: str,
    head: str | None,
    max_length: int | None,
    device: str | None = None,
) -> Labeler:
    """Look up and load a model that can do something with texts.

    Args:
        model: an id or a folder; a model that is in memory is returned as it is.
        ability: "classifies", "tags", "extracts" or "answers".
        verb: of the command line, for messages.
        head: of several heads, the one to ask; None where one alone can do it.
        max_length: as of `Labeler`.
        device: of the model, as of `zoo.device.find_device`.

    Raises:
        NotFoundError: there is no such model, or no weights or no `tokenizer.json` beside it.
        IntegrityError: the files of the model or its tokenizer are malformed.
        UsageError: the model cannot do this, or `head` does not say which head shall.
        MissingDependencyError: the tokenizer needs a package that is not installed, or the machine
            has no such device.
    """
    if isinstance(model, Labeler):
        return model
    found = locate(model)
    architectures = list(found.config.get("architectures") or ())
    several = bool(architectures) and str(architectures[0]).endswith(SEVERAL_HEADS)
    names = catalog.heads_that(ability, found.config) if several else []
    can = catalog.abilities(found.entry, architectures)
    of_whole_texts = ability == "classifies" and "tags" in can  # those label tokens
    if found.entry.reads != "texts" or not (
        names or (ability in can and not (several or of_whole_texts))
    ):
        raise UsageError(
            f"`genae {verb}` needs a model of texts that {_WANTED[ability]}, and {found} has no "
            f"such head; {advice(str(found), found.config)}"
        )
    if head is not None and head not in names:
        have = f"; it has {', '.join(names)}" if names else ", which has one; leave the name out"
        raise UsageError(f"{found} has no head {head!r} for `genae {verb}`{have}")
    if head is None and len(names) > 1:
        raise UsageError(
            f"{found} has several heads for `genae {verb}` ({', '.join(names)}); choose one with "
            f"head={names[0]!r}, on the command line --head {names[0]}"
        )
    if not (Path(found.place) / "tokenizer.json").is_file():
        raise NotFoundError(
            f"{found} has no tokenizer.json, which texts are read with; save its tokenizer there"
        )
    network = model_at(found.place, dtype="float32")
    put_on(network, device)
    chosen = head or (names[0] if names else None)
    tokenizer = tokenizer_at(found.place, str(found))
    labeler = Labeler(str(found), network, tokenizer, chosen, max_length)
    used = tokenizer.num_special_tokens_to_add(pair=verb in ("classify", "answer"))
    if labeler.limit <= used:
        raise UsageError(
            f"{found}: of {labeler.limit} tokens at once {used} stand for no text; max_length, or "
            "model_max_length in tokenizer_config.json, must be larger"
        )
    return labeler


def shown(text: str, start: int, end: int) -> tuple[str, int, int]:
    """Characters without the space that tokens of SentencePiece begin with, and where they are."""
    inner = text[start:end].lstrip()
    start = end - len(inner)
    inner = inner.rstrip()
    return inner, start, start + len(inner)


_WANTED = {
    "classifies": "predicts labels of whole texts",
    "tags": catalog.ABILITIES["tags"],
    "extracts": catalog.ABILITIES["extracts"],
    "answers": catalog.ABILITIES["answers"],
}
