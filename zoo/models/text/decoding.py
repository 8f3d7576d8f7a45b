"""Beam search and random sampling as bert4keras does them, for `generate(custom_generate=...)`.

    model.generate(ids, custom_generate=beam_search, topk=3, end_id=2, max_new_tokens=32)

Scores are sums of log(p + 1e-12), in nats; a finished beam is put away as soon as it is not the
best, and the search ends when the best one is finished. transformers' own beam search divides by
length, and keeps twice as many candidates: it ranks and stops otherwise.

Source: `AutoRegressiveDecoder` of bert4keras 0.11.5, whose names the options keep.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel
from transformers.cache_utils import Cache

SCANNED_PLACES = 3  # places from the front that NumPy finds by looking through
DEFAULT_STEPS = 32  # where no `max_new_tokens` is given
EPSILON = 1e-12  # added to probabilities before the logarithm


class Steps:
    """Sequences that grow by a token a step, with what the model remembers of them.

    Args:
        model: a causal model or an encoder-decoder of transformers' kind.
        input_ids: what there is at the start, `(1, length)`; of a decoder, its start token.
        model_kwargs: as `generate` hands them on.

    Attributes:
        ids: `(sequences, length)`, prompts included.
        mask: of the same shape; 1 where a token is visible.
        cache: keys and values of the tokens read so far; None before the first step and without
            a cache.
    """

    def __init__(
        self, model: PreTrainedModel, input_ids: Tensor, model_kwargs: dict[str, Any]
    ) -> None:
        self.model, self.ids = model, input_ids
        self.prompt = input_ids.shape[1]
        self.two_stacks = model.config.is_encoder_decoder
        self.use_cache = model_kwargs.get("use_cache", True)
        self.segments: Tensor | None = model_kwargs.get("token_type_ids")
        self.fixed: dict[str, Any] = {
            name: model_kwargs[name]
            for name in ("encoder_outputs", "condition")
            if model_kwargs.get(name) is not None
        }
        mask = model_kwargs.get("attention_mask")
        if self.two_stacks:
            if mask is not None:
                self.fixed["attention_mask"] = mask
            mask = None
        self.mask: Tensor = torch.ones_like(input_ids) if mask is None else mask
        self.cache: Cache | None = None

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float32]:
        """Run the model on the tokens that it has not read yet.

        Args:
            temperature: above 0; probabilities are raised to its inverse and normalised.

        Returns:
            Probabilities of the next token, `(sequences, vocab_size)`, each row adding up to 1.
        """
        past = self.cache.get_seq_length() if self.cache is not None else 0
        names = ("decoder_input_ids", "decoder_attention_mask")
        ids, mask = names if self.two_stacks else ("input_ids", "attention_mask")
        inputs = {ids: self.ids[:, past:], mask: self.mask, **self.fixed}
        if not self.two_stacks:
            length = self.ids.shape[1]
            inputs["position_ids"] = torch.arange(past, length, device=self.ids.device)[None]
            if self.segments is not None:
                inputs["token_type_ids"] = self.segments[:, past:]
        output = self.model(
            **inputs, past_key_values=self.cache, use_cache=self.use_cache, return_dict=True
        )
        self.cache = output.past_key_values if self.use_cache else None
        probabilities: NDArray[np.float32]
        probabilities = output.logits[:, -1].float().softmax(-1).cpu().numpy()
        if temperature != 1:
            probabilities = np.power(probabilities, 1.0 / temperature)
            probabilities = probabilities / probabilities.sum(-1, keepdims=True)
        return probabilities

    def choose(self, rows: ArrayLike) -> None:
        """Go on with some of the sequences.

        Args:
            rows: their indices, `(chosen,)`, in the order that they are to have; one may be named
                more than once.
        """
        places: Any = torch.as_tensor(np.asarray(rows), device=self.ids.device)
        self.ids, self.mask = self.ids[places], self.mask[places]
        if self.segments is not None:
            self.segments = self.segments[places]
        for name, value in self.fixed.items():
            if isinstance(value, Tensor):
                self.fixed[name] = value[places]
            else:  # the output of an encoder
                self.fixed[name] = type(value)({key: part[places] for key, part in value.items()})
        if self.cache is not None:
            self.cache.reorder_cache(places)

    def append(self, tokens: ArrayLike) -> None:
        """Add a token to each sequence; a generated 0 is padding for what follows.

        Args:
            tokens: ids, `(sequences,)`.
        """
        new = torch.as_tensor(tokens, device=self.ids.device).reshape(-1, 1)
        self.ids = torch.cat([self.ids, new], 1)
        self.mask = torch.cat([self.mask, (new != 0).to(self.mask.dtype)], 1)
        if self.segments is not None:
            kind = getattr(self.model.config, "attention_mask_kind", "causal")
            segment = torch.full_like(new, int(kind == "prefix"))
            self.segments = torch.cat([self.segments, segment], 1)

    def generated(self) -> NDArray[np.int64]:
        """What was added to the prompt, `(sequences, new tokens)`.

        A decoder's start token belongs to it.
        """
        start = 0 if self.two_stacks else self.prompt
        ids: NDArray[np.int64] = self.ids[:, start:].cpu().numpy()
        return ids


def _ended(steps: Steps, end_id: int | None, min_ends: int) -> NDArray[np.bool_]:
    """Which sequences are finished: they end in `end_id` and have it often enough."""
    ids = steps.generated()
    if end_id is None:
        return np.zeros(len(ids), bool)
    ended: NDArray[np.bool_] = (ids[:, -1] == end_id) & ((ids == end_id).sum(1) >= min_ends)
    return ended


@torch.no_grad()
def beam_search(
    model: PreTrainedModel,
    input_ids: Tensor,
    *,
    topk: int = 1,
    end_id: int | None = None,
    generation_config: GenerationConfig | None = None,
    minlen: int = 1,
    min_ends: int = 1,
    temperature: float = 1.0,
    **model_kwargs: Any,
) -> Tensor:
    """The best sequence that a search with a shrinking beam finds; pass it to `generate`.

    Args:
        model: `generate` gives it.
        input_ids: one prompt, `(1, length)`.
        topk: number of beams at the start, at least 1.
        end_id: token that ends a sequence; None or -1 never does.
        generation_config: its `max_new_tokens` bound the steps; 32 if it has none.
        minlen: length in tokens from which on a sequence can end; a decoder's start token counts.
        min_ends: how often `end_id` must stand in it.
        temperature: of the probabilities, above 0.
        **model_kwargs: `generate` gives them.

    Returns:
        The prompt and what was generated, `(1, length + new tokens)`; of an encoder-decoder the
        start token and what was generated.

    Raises:
        ValueError: there are several prompts.
    """
    steps = _start(model, input_ids, model_kwargs)
    scores = np.zeros(1)
    for _ in range(_max_steps(generation_config)):
        candidates = scores[:, None] + np.log(steps.probabilities(temperature) + EPSILON)
        best = candidates.argpartition(-topk, axis=None)[-topk:]
        rows, tokens = np.divmod(best, candidates.shape[1])
        steps.choose(rows)
        steps.append(tokens)
        scores = candidates.reshape(-1)[best]
        if steps.generated().shape[1] < minlen:
            continue
        ended = _ended(steps, end_id, min_ends)
        if ended[scores.argmax()]:
            break
        if ended.any():
            unfinished = np.flatnonzero(~ended)
            steps.choose(unfinished)
            scores, topk = scores[unfinished], len(unfinished)
    return steps.ids[int(scores.argmax())][None]


@torch.no_grad()
def random_sample(
    model: PreTrainedModel,
    input_ids: Tensor,
    *,
    n: int = 1,
    topk: int | None = None,
    topp: float | None = None,
    end_id: int | None = None,
    generation_config: GenerationConfig | None = None,
    minlen: int = 1,
    min_ends: int = 1,
    temperature: float = 1.0,
    numpy_seed: int | None = None,
    pad_id: int = 0,
    **model_kwargs: Any,
) -> Tensor:
    """Sequences drawn from the `topk` likeliest tokens, and of these from the nucleus `topp`.

    Random numbers follow NumPy's legacy generator, in the order of bert4keras's calls. Top-k:
    arXiv:1805.04833; the nucleus: arXiv:1904.09751.

    Args:
        model: `generate` gives it.
        input_ids: one prompt, `(1, length)`.
        n: number of sequences.
        topk: number of tokens kept at each step; None keeps all.
        topp: probability that the tokens kept have together at least, in (0, 1]; None keeps all.
        end_id: token that ends a sequence; None or -1 never does.
        generation_config: its `max_new_tokens` bound the steps; 32 if it has none.
        minlen: length in tokens from which on a sequence can end; a decoder's start token counts.
        min_ends: how often `end_id` must stand in it.
        temperature: of the probabilities, above 0.
        numpy_seed: as for `numpy.random.seed`, 0 to 2^32 - 1; None draws anew.
        pad_id: token that fills up shorter sequences.
        **model_kwargs: `generate` gives them.

    Returns:
        `(n, longest length)`, each with its prompt, in the order in which they ended.

    Raises:
        ValueError: there are several prompts.
    """
    chance = np.random.RandomState(numpy_seed)
    steps = _start(model, input_ids, model_kwargs)
    results: list[Tensor] = []
    for step in range(_max_steps(generation_config)):
        probabilities = steps.probabilities(temperature)
        if step == 0:
            rows = np.zeros(n, int)
            probabilities = probabilities[rows] / probabilities[rows].sum(1, keepdims=True)
            steps.choose(rows)
        else:
            probabilities = probabilities / probabilities.sum(1, keepdims=True)
        steps.append(np.array([_draw(row, topk, topp, chance) for row in probabilities]))
        if steps.generated().shape[1] < minlen:
            continue
        ended = _ended(steps, end_id, min_ends)
        if ended.any():
            results += list(steps.ids[torch.as_tensor(ended)])
            if ended.all():
                break
            steps.choose(np.flatnonzero(~ended))
    else:
        results += list(steps.ids)
    return torch.nn.utils.rnn.pad_sequence(results, batch_first=True, padding_value=pad_id)


def _draw(
    probabilities: NDArray[np.float32],
    topk: int | None,
    topp: float | None,
    chance: np.random.RandomState,
) -> int:
    """One token of a distribution, `(vocab_size,)`."""
    tokens = np.arange(len(probabilities))
    if topk is not None:
        tokens = largest(probabilities, topk)
        probabilities = probabilities[tokens] / probabilities[tokens].sum()
    if topp is not None:
        order = probabilities.argsort()[::-1]
        tokens, probabilities = tokens[order], probabilities[order]
        beyond = np.concatenate([[False], (probabilities.cumsum() >= topp)[:-1]])
        probabilities = np.where(beyond, 0, probabilities)
        probabilities = probabilities / probabilities.sum()
    return int(tokens[chance.choice(len(probabilities), p=probabilities)])


def _max_steps(generation_config: GenerationConfig | None) -> int:
    """How many tokens are generated unless the sequences end before."""
    return getattr(generation_config, "max_new_tokens", None) or DEFAULT_STEPS


def largest(values: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Indices of the largest values, in the order in which NumPy's selection leaves them.

    A draw takes the tokens in this order, and NumPy's `argpartition` has another one wherever it
    is vectorised: here is the quickselect that it documents (pivot: the median of three).

    Args:
        values: `(size,)`, numbers.
        count: how many, 1 to `size`.

    Returns:
        `(count,)`, equal to `values.argpartition(-count)[-count:]` of a NumPy without vectors.

    Example:
        >>> largest(np.array([0.1, 0.4, 0.2, 0.3]), 2)
        array([3, 1])
    """
    order = list(range(len(values)))
    keys = values.tolist()
    place = len(order) - count
    low, high = 0, len(order) - 1
    if place < SCANNED_PLACES:
        for i in range(place + 1):
            smallest = min(range(i, len(order)), key=lambda k: keys[order[k]])
            order[i], order[smallest] = order[smallest], order[i]
        return np.array(order[place:])
    while low + 1 < high:
        middle = low + (high - low) // 2
        # The median becomes the pivot at `low`; the smallest of the three lies behind it.
        for one, other in ((high, middle), (high, low), (low, middle)):
            if keys[order[one]] < keys[order[other]]:
                order[one], order[other] = order[other], order[one]
        order[middle], order[low + 1] = order[low + 1], order[middle]
        pivot, left, right = keys[order[low]], low + 1, high
        while True:
            left += 1
            while keys[order[left]] < pivot:
                left += 1
            right -= 1
            while pivot < keys[order[right]]:
                right -= 1
            if right < left:
                break
            order[left], order[right] = order[right], order[left]
        order[low], order[right] = order[right], order[low]
        if right >= place:
            high = right - 1
        if right <= place:
            low = left
    if high == low + 1 and keys[order[high]] < keys[order[low]]:
        order[high], order[low] = order[low], order[high]
    return np.array(order[place:])


def _start(model: PreTrainedModel, input_ids: Tensor, model_kwargs: dict[str, Any]) -> Steps:
    """The steps of one prompt, none taken yet."""
    if len(input_ids) != 1:
        raise ValueError(
            f"{len(input_ids)} prompts: bert4keras's decoding takes one at a time; call generate "
            "for each"
        )
    return Steps(model, input_ids, model_kwargs)
