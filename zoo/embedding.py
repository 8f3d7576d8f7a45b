"""Vectors of texts: what an encoder makes of their tokens, pooled to one vector a text."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from zoo import catalog
from zoo.advice import advice
from zoo.errors import NotFoundError, UsageError
from zoo.header import safetensors_header
from zoo.hints import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

Text: TypeAlias = str | tuple[str, str]


def _mean(hidden: "Tensor", mask: "Tensor") -> "Tensor":
    from zoo.models.text.reductions import masked_mean

    return masked_mean(hidden.float(), mask[..., None], 1)


def _first_and_last(output: Any, mask: "Tensor") -> "Tensor":
    first, last = output.hidden_states[1], output.last_hidden_state  # [0] is the embeddings
    return (_mean(first, mask) + _mean(last, mask)) / 2


def _max(output: Any, mask: "Tensor") -> "Tensor":
    hidden: Tensor = output.last_hidden_state.float()
    return hidden.masked_fill(~mask[..., None], float("-inf")).amax(1)


#: How states become a vector, by name: of an encoder's output and the mask `(batch, length)`.
POOLINGS: dict[str, Callable[[Any, "Tensor"], "Tensor"]] = {
    "cls": lambda output, mask: output.last_hidden_state[:, 0],
    "pooler": lambda output, mask: output.pooler_output,
    "last-avg": lambda output, mask: _mean(output.last_hidden_state, mask),
    "first-last-avg": _first_and_last,
    "max": _max,
}
#: Those that read the first token alone.
OF_FIRST = ("cls", "pooler")
#: Number of texts that are tokens at one time: ids as Python has them take much memory.
WINDOW = 16_384
#: Why a text has no vector.
HALF = "has half a character (a surrogate); decode it again"
NO_TOKENS = "makes no tokens"


def embed(
    model: Any,
    texts: Iterable[Text],
    *,
    pooling: str | None = None,
    normalized: bool = False,
    max_length: int | None = None,
    batch_size: int = 32,
    tokenizer: Any = None,
) -> "Tensor":
    """Turn texts into vectors: of SimBERT, RoFormer-Sim, and any other encoder of texts.

    Texts go through the model sorted by length, so that little is padded; the vectors come in the
    order of the texts, and depend on batches and padding by rounding alone.

    Args:
        model: an id, a folder, or a loaded model, which stays on its device and may have any
            heads. Of an encoder-decoder the encoder is asked.
        texts: any number; or pairs of texts, each of which makes one vector. What is longer than
            `max_length` is cut off.
        pooling: "cls", the last state of the first token; "pooler", what the model's pooler makes
            of that; "last-avg", the mean of the last states over the text's tokens, special ones
            included; "first-last-avg", the mean of that and the same of the first block, as
            arXiv:2103.15316 has it; "max", the largest of the last states, a dimension at a time.
            None takes that of the head where the model was trained on pairs of texts; else
            "pooler" where that is linear: with it SimBERT and RoFormer-Sim were
            trained to tell like texts from others, and their scripts take it. Of all other models
            it takes "last-avg", since a pooler with a tanh was trained to say which sentence
            follows, if at all.
        normalized: divide each vector by its length, so that products are cosines.
        max_length: tokens of a text or pair, special ones included; None is as many as the model
            and its tokenizer allow.
        batch_size: number of texts that go through the model at once.
        tokenizer: None is the one in the model's folder.

    Returns:
        float32 on the CPU, `(number of texts, hidden_size)`.

    Raises:
        UsageError: the model reads no texts, or needs more than texts; the pooling is not one of
            these, the model has no pooler, or its first token has not read the text; a text is
            neither a text nor a pair, or makes no tokens; a number is out of its range.
        NotFoundError: there is no such model, or no tokenizer among its files.
        IntegrityError: the files of the model or its tokenizer are malformed.
        MissingDependencyError: the tokenizer needs a package that is not installed.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size must be at least 1, got {batch_size}")
    pairs, columns = _columns(texts)
    reader = open_embedder(
        model, pooling=pooling, max_length=max_length, tokenizer=tokenizer, pairs=pairs
    )

    import torch

    vectors = torch.empty(len(columns[0]), reader.size)
    modes = {module: module.training for module in reader.network.modules()}
    reader.network.eval()
    try:
        for start in range(0, len(vectors), WINDOW):
            rows = reader.tokens([column[start : start + WINDOW] for column in columns])
            for place, row in enumerate(rows, start):
                if not any(row["attention_mask"]):
                    raise UsageError(f"text {place}, {columns[0][place]!r:.60}, {NO_TOKENS}")
            window = vectors[start : start + WINDOW]
            for places, inputs in reader.batches(rows, batch_size):
                window[places] = reader.vectors(inputs)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return torch.nn.functional.normalize(vectors, dim=-1) if normalized else vectors


@dataclass(frozen=True)
class Embedder:
    """A model that makes vectors of texts.

    Attributes:
        name: what it was called.
        place: its folder; empty if it has none.
        network: the whole model.
        encoder: what reads the texts.
        tokenizer: its tokenizer.
        pooling: a key of `POOLINGS`.
        limit: number of tokens that are read; None where there is no end.
    """

    name: str
    place: str
    network: Any
    encoder: Any
    tokenizer: Any
    pooling: str
    limit: int | None

    @property
    def size(self) -> int:
        """Length of a vector."""
        return int(self.network.config.hidden_size)

    @property
    def masked(self) -> bool:
        """Whether it reads a mask; without one a model has learned from texts of one length."""
        return "attention_mask" in self.tokenizer.model_input_names

    def tokens(self, columns: list[list[str]]) -> list[dict[str, list[int]]]:
        """What the model takes of each text, or of each pair; of one length if it is not masked.

        Args:
            columns: the texts, or first and second ones.
        """
        encoded = self.tokenizer(
            *columns,
            truncation=self.limit is not None,
            max_length=self.limit,
            padding=False if self.masked or self.limit is None else "max_length",
            return_attention_mask=True,
            verbose=False,
        )
        values = zip(*encoded.values(), strict=True)
        return [dict(zip(encoded, row, strict=True)) for row in values]

    def batches(
        self, rows: list[dict[str, list[int]]], size: int
    ) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """Places of texts of about one length, the longest first, and what the model takes.

        Args:
            rows: what `tokens` returned.
            size: number of texts in a batch.
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        pad = self.tokenizer.pad_token_id or 0
        order = sorted(range(len(rows)), key=lambda place: -len(rows[place]["input_ids"]))
        for start in range(0, len(order), size):
            places = order[start : start + size]
            yield (
                places,
                {
                    name: pad_sequence(
                        [torch.tensor(rows[place][name]) for place in places],
                        batch_first=True,
                        padding_value=pad if name == "input_ids" else 0,
                    )
                    for name in rows[places[0]]
                },
            )

    def vectors(self, inputs: dict[str, Any]) -> "Tensor":
        """The vectors of a batch, float32 `(batch, size)` on the CPU, without gradients."""
        device = next(self.encoder.parameters()).device
        inputs = {name: value.to(device) for name, value in inputs.items()}
        mask = inputs["attention_mask"] if self.masked else inputs.pop("attention_mask")
        return pooled(self.encoder, inputs, mask, self.pooling).cpu()


def open_embedder(
    model: Any,
    *,
    pooling: str | None = None,
    max_length: int | None = None,
    tokenizer: Any = None,
    pairs: bool = False,
) -> Embedder:
    """A model that makes vectors of texts, looked up and checked; arguments as of `embed`.

    Args:
        model: an id, a folder, or a loaded model.
        pooling: None is the one that the model was made for.
        max_length: None is as many as there can be.
        tokenizer: None is the one in the model's folder.
        pairs: whether it is to read pairs of texts.

    Raises:
        UsageError: as `embed`, of the model and its options.
        NotFoundError: likewise.
        IntegrityError: likewise.
        MissingDependencyError: likewise.
    """
    if pooling is not None and pooling not in POOLINGS:
        raise UsageError(
            f"no pooling named {pooling!r}. {did_you_mean(pooling, POOLINGS)} There are "
            f"{', '.join(POOLINGS)}."
        )
    name, place, entry, network = _network(model)
    if tokenizer is None:
        tokenizer = _tokenizer(place, name)
    encoder = _encoder(network)
    if pooling == "pooler" and entry is not None and network is not model:
        encoder = _with_pooler(encoder, place, entry)
    pooling = pooling or _usual(encoder)
    _check(name, encoder, entry, pooling, pairs)
    limit = _limit(tokenizer, network.config, max_length)
    return Embedder(name, place, network, encoder, tokenizer, pooling, limit)


def pooled(encoder: Any, inputs: dict[str, Any], mask: "Tensor", pooling: str) -> "Tensor":
    """The vectors of one batch.

    Args:
        encoder: of texts, without heads.
        inputs: what its `forward` takes, by name.
        mask: true or 1 where a token is one of the text, `(batch, length)`.
        pooling: a key of `POOLINGS`.

    Returns:
        float32, `(batch, hidden_size)`, without gradients.
    """
    import torch

    more = {"output_hidden_states": True} if pooling == "first-last-avg" else {}
    with torch.no_grad():
        output = encoder(**inputs, **more, return_dict=True)
        return POOLINGS[pooling](output, mask.bool()).float()


def _columns(texts: Iterable[Text]) -> tuple[bool, list[list[str]]]:
    """Whether they are pairs, and one list of texts, or two of first and second ones.

    Raises:
        UsageError: there are others among them, or both kinds, or half a character.
    """
    if isinstance(texts, str):
        raise UsageError(f"{texts!r:.60} is one text; pass a list: [{texts!r:.60}]")
    given = list(texts)
    single = [one for one in given if isinstance(one, str)]
    pairs = len(single) < len(given)
    for place, one in enumerate(given if pairs else ()):
        if not (isinstance(one, tuple | list) and [*map(type, one)] == [str, str]):
            raise UsageError(
                f"text {place} is {one!r:.60}; pass texts, or pairs of two texts each, not both"
            )
    columns = [list(column) for column in zip(*given, strict=True)] if pairs else [single]
    for place, text in (each for column in columns for each in enumerate(column)):
        if has_half_characters(text):
            raise UsageError(f"text {place}, {text!r:.60}, {HALF}")
    return pairs, columns


def has_half_characters(text: str) -> bool:
    """Whether a text has surrogates, which no tokenizer takes."""
    return not text.isascii() and any("\ud800" <= mark <= "\udfff" for mark in text)


def _network(model: Any) -> tuple[str, str, catalog.Entry | None, Any]:
    """Name, folder, row and model; a loaded model may have no folder, one of others no row."""
    from zoo.loading import Located, locate, model_at

    if isinstance(model, str | os.PathLike | Located):
        found = locate(model)
        _check_reads(found.name, found.entry, found.config)
        return found.name, found.place, found.entry, model_at(found.place, dtype="float32")
    place, config = str(model.name_or_path), model.config.to_dict()
    name = place or type(model).__name__
    try:
        entry = catalog.find_config(config.get("model_type"))
    except UsageError:
        return name, place, None, model
    _check_reads(name, entry, config)
    return name, place, entry, model


def _check_reads(name: str, entry: catalog.Entry, config: dict[str, Any]) -> None:
    if entry.reads != "texts":
        raise UsageError(f"{name} reads {entry.reads}, no texts; {advice(name, config)}")
    if config.get("condition_size"):
        raise UsageError(
            f"{name} needs a condition besides a text; call the model itself, with condition="
        )


def _tokenizer(place: str, name: str) -> Any:
    from zoo.loading import tokenizer_at

    if not place or not (Path(place) / "tokenizer.json").is_file():
        raise NotFoundError(f"{name} has no tokenizer.json; pass embed a tokenizer=")
    return tokenizer_at(place, name)


def _encoder(network: Any) -> Any:
    """What reads the texts: without heads, without a decoder."""
    backbone = network.base_model
    return backbone.get_encoder() if network.config.is_encoder_decoder else backbone


def _pooler(encoder: Any) -> Any:
    return getattr(encoder, "pooler", None)


def _with_pooler(encoder: Any, place: str, entry: catalog.Entry) -> Any:
    """The same with the pooler of its files, which transformers leaves out of some heads."""
    from zoo.loading import quietly

    headers = map(safetensors_header, sorted(Path(place).glob("*.safetensors")))
    in_files = any(entry.leaves_open(name) for header in headers for name in header)
    if _pooler(encoder) is not None or not in_files:
        return encoder
    with quietly():
        return type(encoder).from_pretrained(place, dtype="float32")


#: Poolings of a head of vectors, as they are called here.
OF_HEAD = {"cls": "cls", "pooler": "pooler", "mean": "last-avg"}


def _usual(encoder: Any) -> str:
    """The pooling that a model was made for."""
    for table in (getattr(encoder.config, "heads", None) or {}).values():
        if table.get("kind") == "vectors":
            return OF_HEAD[table.get("pooling", "mean")]
    linear = getattr(encoder.config, "pooler_act", None) == "linear"
    return "pooler" if linear and _pooler(encoder) is not None else "last-avg"


def _check(
    name: str, encoder: Any, entry: catalog.Entry | None, pooling: str, pairs: bool
) -> None:
    """Refuse vectors that a model does not make, or that say nothing of the texts."""
    if pooling == "pooler" and _pooler(encoder) is None:
        raise UsageError(f"{name} has no pooler; choose pooling='last-avg'")
    ahead = "causal" if entry is not None and entry.auto == "AutoModelForCausalLM" else "full"
    kind = getattr(encoder.config, "attention_mask_kind", ahead)
    unread = {"causal": "the text", "prefix": "the second text" if pairs else ""}.get(kind)
    if pooling in OF_FIRST and unread:
        raise UsageError(
            f"{name}: its first token does not read {unread}, so {pooling!r} says nothing of it; "
            "choose pooling='last-avg'"
        )


def _limit(tokenizer: Any, config: Any, wanted: int | None) -> int | None:
    """The number of tokens that may be read; None where there is no end."""
    known = (tokenizer.model_max_length, getattr(config, "max_position_embeddings", None))
    limit = min((int(one) for one in known if one and one < 10**9), default=None)
    if wanted is None:
        return limit
    if wanted < 1 or (limit is not None and wanted > limit):
        raise UsageError(f"max_length must be 1 to {limit or 'any number'}, got {wanted}")
    return wanted
