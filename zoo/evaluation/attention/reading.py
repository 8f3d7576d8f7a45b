"""A text model's attention to one text: weights of every layer and head, and tables of logits."""

import inspect
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo import catalog
from zoo.errors import NotFoundError, UsageError
from zoo.loading import head_at, tokenizer_at
from zoo.registry import resolve
from zoo.registry.manifest import read_config

from .statistics import Statistics, measure, uniform
from .tables import Table, forms_of, tables_of

#: What there is to see, by its name.
TITLES = {
    "self": "Self-attention",
    "encoder": "Self-attention of the encoder",
    "decoder": "Self-attention of the decoder",
    "cross": "Attention of the decoder to the encoder",
}
SUM_TOLERANCE = 1e-3  # of a row of weights; half precision on a GPU has as much


@dataclass(frozen=True)
class Part:
    """The attention of a stack of layers to a text.

    Attributes:
        name: a key of `TITLES`.
        queries: the tokens that attend, which are rows.
        keys: the tokens attended to, which are columns.
        layers: weights of each layer, float32 `(heads, queries, keys)`; rows add up to 1.
        forms: what each layer's logits are made of; empty where the model does not say.
    """

    name: str
    queries: list[str]
    keys: list[str]
    layers: list[Tensor]
    forms: list[str]

    @property
    def visible(self) -> Tensor:
        """Which keys each query may see, bool `(queries, keys)`: any head gives them weight."""
        return torch.stack([(layer > 0).any(0) for layer in self.layers]).any(0)

    def statistics(self) -> list[list[Statistics]]:
        """Those of each layer's heads."""
        visible, same = self.visible, self.name != "cross"
        return [measure(layer, visible, same_text=same) for layer in self.layers]

    def uniform(self) -> Statistics:
        """Those of a head that looks at all visible tokens alike."""
        visible = self.visible
        return measure(uniform(visible), visible, same_text=self.name != "cross")[0]


@dataclass(frozen=True)
class Reading:
    """What one model does with a text.

    Attributes:
        model: its name as given.
        parts: its attentions.
        tables: its logits by position, if it has such.
    """

    model: str
    parts: list[Part]
    tables: list[Table]


def read(model: str | os.PathLike[str], text: str, target: str | None = None) -> Reading:
    """Run a model on a text and keep its attention.

    Args:
        model: an id or a folder.
        text: no longer than the model takes.
        target: what the decoder of an encoder-decoder reads; its encoder alone is run without.

    Raises:
        NotFoundError: there is no such model, or it has no tokenizer.
        UsageError: the model has no attention weights, the text is empty or too long, or there is
            a target and no encoder-decoder.
        IntegrityError: the model's files are malformed.
        MissingDependencyError: the tokenizer needs a package that is not installed.
    """
    network, tokenizer = _load(model)
    name, config = str(model), network.config
    inputs, tokens = _tokenize(tokenizer, text, name, config)
    if not config.is_encoder_decoder:
        if target is not None:
            raise UsageError(
                f"{name} has no decoder beside an encoder that would read {target!r}; leave the "
                "target out"
            )
        shown = {"self": ("attentions", tokens, tokens)}
    elif target is None:
        network = network.get_encoder()
        shown = {"encoder": ("attentions", tokens, tokens)}
    else:
        read_after, written = _tokenize(tokenizer, target, name, config)
        start = torch.full((1, 1), _start(config))
        inputs["decoder_input_ids"] = torch.cat([start, read_after["input_ids"]], 1)[:, :-1]
        before = tokenizer.convert_ids_to_tokens(start[0].tolist()) + written[:-1]
        shown = {
            "encoder": ("encoder_attentions", tokens, tokens),
            "decoder": ("decoder_attentions", before, before),
            "cross": ("cross_attentions", before, tokens),
        }
    output = _run(name, network, inputs)
    parts = [
        Part(
            part, queries, keys, _weights(name, network, output.get(field)), forms_of(config, part)
        )
        for part, (field, queries, keys) in shown.items()
    ]
    return Reading(name, parts, list(tables_of(network, config)))


def _load(model: str | os.PathLike[str]) -> tuple[Any, Any]:
    """A text model with the head that its files have, and its tokenizer."""
    place, name = resolve(model), str(model)
    config = read_config(Path(place))
    kinds = [str(kind) for kind in config.get("architectures") or ()]
    try:
        entry = catalog.find_config(config.get("model_type"), kinds)
    except UsageError:
        entry = None  # of transformers alone
    if entry is not None and entry.reads != "texts":
        raise UsageError(
            f"{name} is a model of {entry.reads} ({entry.title}) and has no attention; "
            "`genae list` shows the models of texts"
        )
    if not (Path(place) / "tokenizer.json").is_file():
        raise NotFoundError(f"{place} has no tokenizer.json; save the model's tokenizer there")
    endings = [ending for kind in kinds for ending in catalog.HEADS if kind.endswith(ending)]
    network = head_at(place, name, endings[0] if endings else "Model")
    if network._can_set_attn_implementation():
        network.set_attn_implementation("eager")  # which alone has the weights
    return network.eval(), tokenizer_at(place, name)


def _tokenize(tokenizer: Any, text: str, name: str, config: Any) -> tuple[Any, list[str]]:
    """What the model reads, and its tokens as a person writes them."""
    spans = bool(tokenizer.is_fast)
    inputs = tokenizer(text, return_tensors="pt", return_offsets_mapping=spans, verbose=False)
    tokens = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    if not tokens:
        raise UsageError(f"{text!r} has no tokens for {name}; give a text")
    limits = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    longest = min(int(limit) for limit in limits if limit and limit > 0)
    if len(tokens) > longest:
        raise UsageError(
            f"the text has {len(tokens)} tokens, and {name} reads {longest}; shorten it"
        )
    if spans:
        pieces = [text[start:end] for start, end in inputs.pop("offset_mapping")[0].tolist()]
        # Special tokens have no span of the text.
        tokens = [piece.strip() or token for piece, token in zip(pieces, tokens, strict=True)]
    return inputs, tokens


def _start(config: Any) -> int:
    """The token that the input of a decoder begins with."""
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")
    ids = (getattr(config, name, None) for name in names)
    return next((one for one in ids if one is not None), 0)


def _run(name: str, network: Any, inputs: Any) -> Any:
    """The output of a model that was asked for its attention."""
    taken = inspect.signature(network.forward).parameters
    free = any(one.kind is one.VAR_KEYWORD for one in taken.values())
    options = {**inputs, "output_attentions": True, "return_dict": True}
    with torch.no_grad():
        return network(**{key: value for key, value in options.items() if free or key in taken})


def _weights(name: str, network: Any, layers: Any) -> list[Tensor]:
    """The weights of each layer, checked.

    Raises:
        UsageError: there are none, or they are no shares of tokens.
    """
    if not layers or any(layer is None or layer.ndim != 4 for layer in layers):
        raise UsageError(
            f"{name}: {type(network).__name__} gives no weights of attention between tokens; "
            "choose a model whose layers attend, such as BERT or GPT"
        )
    weights = [layer[0].float().cpu() for layer in layers]
    if any(((layer.sum(-1) - 1).abs() > SUM_TOLERANCE).any() for layer in weights):
        raise UsageError(
            f"{name}: the weights of {type(network).__name__} do not add up to 1 over the tokens, "
            "so that they are no shares of attention; choose a model with softmax attention"
        )
    return weights
