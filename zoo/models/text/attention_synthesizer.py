"""Self-attention whose logits are synthesized, mixed with products of queries and keys or not."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from transformers import initialization as init

from .attention import Attended, Context, attend, split_heads
from .configuration_synthesizer import DOT_PRODUCT, SynthesizerConfig
from .synthesizer_forms import MODULES, Form


class Kept:
    """Weights that depend on positions alone, and what they were computed from.

    Args:
        weights: `(1, heads, queries, keys)`.
        facts: what besides tensors decided them.
        tensors: parameters and buffers that they were computed from.
    """

    def __init__(self, weights: Tensor, facts: tuple[Any, ...], tensors: list[Tensor]) -> None:
        self.weights, self.facts, self.tensors = weights, facts, tensors
        self.counts = [_count(each) for each in tensors]
        self.samples = [_sample(each).clone() for each in tensors]

    def still(self, state: tuple[tuple[Any, ...], list[Tensor]]) -> bool:
        """Whether they hold for facts and tensors, which nothing has changed since.

        Optimizers with fused steps, and whoever writes to `.data`, change a tensor without its
        knowledge: of each table the numbers for the first key, which every query reads, are
        compared.
        """
        facts, tensors = state
        return (
            facts == self.facts
            and all(a is b for a, b in zip(tensors, self.tensors, strict=True))
            and self.counts == [_count(each) for each in tensors]
            and all(map(torch.equal, map(_sample, tensors), self.samples))
        )


def _count(tensor: Tensor) -> tuple[int, int]:
    """Its place in memory and how often it was changed, as far as torch counts that."""
    return tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version


def _sample(tensor: Tensor) -> Tensor:
    return tensor.detach()[..., 0] if tensor.ndim > 1 else tensor.detach()


class SynthesizedAttention(nn.Module):
    """Attention by softmax of synthesized logits (arXiv:2005.00743, section 3).

    Reads and makes what `SelfAttention` does, and has its names for queries, keys and values;
    synthesized logits are not scaled. Without a dot product, `cache` keeps values, and in place
    of keys one number for each token, by which it counts them.

    In evaluation, weights that depend on positions alone are computed once for a length, and
    again once a parameter changed.

    Args:
        config: of the model.
        forms: names of what is mixed.
        layer: number of the layer, from 0 on.
    """

    def __init__(self, config: SynthesizerConfig, forms: Sequence[str], layer: int) -> None:
        super().__init__()
        self.config = config
        self.is_causal = False  # the mask says it all
        heads, bias = config.num_attention_heads, config.use_bias
        self.scaling = config.dot_product_scale
        self.dot_product = DOT_PRODUCT in forms
        self.names = tuple(forms)
        if self.dot_product:
            self.query = nn.Linear(config.hidden_size, heads * config.key_head_size, bias)
            self.key = nn.Linear(config.hidden_size, heads * config.key_head_size, bias)
        self.value = nn.Linear(config.hidden_size, heads * config.value_head_size, bias)
        self.forms = nn.ModuleDict(
            {name: MODULES[name](config, layer) for name in forms if name != DOT_PRODUCT}
        )
        self.alpha: nn.Parameter | None = None
        if len(forms) > 1 and config.mixture != "sum":
            self.alpha = nn.Parameter(torch.empty(len(forms) - (config.mixture == "sigmoid")))
        self.positional = not self.dot_product and not any(f.reads for f in self._forms())
        self._kept: Kept | None = None

    def _forms(self) -> list[Form]:
        return [form for form in self.forms.values() if isinstance(form, Form)]

    def draw(self) -> None:
        """Mix evenly at first."""
        if self.alpha is not None:
            init.zeros_(self.alpha)

    def shares(self) -> Sequence[Tensor | float]:
        """The factor on the logits of each form: adding up to 1, or all 1 for a sum."""
        if self.alpha is None:
            return [1.0] * len(self.names)
        if self.config.mixture == "softmax":
            return self.alpha.softmax(0).unbind()
        first = self.alpha.sigmoid()[0]
        return [first, 1 - first]

    def forward(
        self,
        hidden_states: Tensor,
        context: Context,
        layer_idx: int,
        previous_scores: Tensor | None = None,
    ) -> Attended:
        heads = self.config.num_attention_heads
        value = split_heads(self.value(hidden_states), heads)
        key = (
            split_heads(self.key(hidden_states), heads)
            if self.dot_product
            else value[:, :1, :, :1]
        )
        if context.cache is not None:
            key, value = context.cache.update(key, value, layer_idx)
        if not self.dot_product:
            return self._attend(hidden_states, value, context)
        query = split_heads(self.query(hidden_states), heads)
        if len(self.names) == 1:
            return attend(self, query, key, value, context, self.scaling)
        share = self.shares()[self.names.index(DOT_PRODUCT)]
        bias = self.logits(hidden_states, context)
        return attend(self, query * share, key, value, context, self.scaling, bias)

    def logits(self, hidden_states: Tensor, context: Context) -> Tensor:
        """The mixture of synthesized logits, dot products left out.

        Args:
            hidden_states: `(batch, queries, hidden_size)`.
            context: of this forward pass.

        Returns:
            `(batch or 1, heads, queries, keys)`.
        """
        assert context.places is not None
        total: Tensor | None = None
        for name, share in zip(self.names, self.shares(), strict=True):
            if name == DOT_PRODUCT:
                continue
            found = self.forms[name](hidden_states, context.places, context.keys)
            found = found if self.alpha is None else share * found
            total = found if total is None else total + found
        assert total is not None
        return total

    def _attend(self, hidden_states: Tensor, value: Tensor, context: Context) -> Attended:
        """Attention without a dot product; as `forward`."""
        weights = self.weights(hidden_states, context)
        if self.training and self.config.attention_probs_dropout_prob:
            full = weights.expand(value.shape[0], *weights.shape[1:])
            dropped = dropout(full, self.config.attention_probs_dropout_prob)
        else:
            dropped = weights
        if dropped.shape[0] == 1 < value.shape[0]:  # one product for the whole batch
            joined = torch.einsum("hqk,bhkd->bqhd", dropped[0], value)
        else:
            joined = (dropped @ value).transpose(1, 2)
        shown = weights.expand(value.shape[0], *weights.shape[1:])
        return joined.flatten(2), shown if context.output_attentions else None, None

    def weights(self, hidden_states: Tensor, context: Context) -> Tensor:
        """The weights of keys, where no dot product is mixed in.

        Args:
            hidden_states: `(batch, queries, hidden_size)`.
            context: of this forward pass.

        Returns:
            `(batch or 1, heads, queries, keys)`, in [0, 1].
        """
        places, mask = context.places, context.mask
        assert places is not None
        alike = mask is None or (not places.padded and self.config.attention_mask_kind != "prefix")
        if mask is not None and alike:
            mask = mask[:1]
        state = None
        if self.positional and alike and places.keys is None:
            state = self._state(hidden_states, places.start, context.keys)
        if state is not None and self._kept is not None and self._kept.still(state):
            return self._kept.weights
        scores = self.logits(hidden_states, context)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        exact = torch.promote_types(scores.dtype, torch.float32)
        weights = scores.softmax(-1, dtype=exact).to(scores.dtype)
        if state is not None:
            self._kept = Kept(weights, *state)
        return weights

    def _state(
        self, hidden_states: Tensor, start: int, keys: int
    ) -> tuple[tuple[Any, ...], list[Tensor]] | None:
        """What weights by position depend on, numbers and tensors; None if they must not be kept.

        They are kept on a CPU alone: elsewhere, to ask whether they hold costs as much as they do.
        """
        queries, cpu = hidden_states.shape[1], hidden_states.device.type == "cpu"
        if torch.compiler.is_compiling() or self.training or queries == 1 or not cpu:
            return None
        tensors = [*self.forms.parameters(), *self.forms.buffers()]
        tensors += [] if self.alpha is None else [self.alpha]
        if torch.is_grad_enabled() and any(each.requires_grad for each in tensors):
            return None
        facts = start, queries, keys, self.config.attention_mask_kind, hidden_states.dtype
        return (*facts, torch.is_inference_mode_enabled()), tensors

    def train(self, mode: bool = True) -> "SynthesizedAttention":
        self._kept = None
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._kept = None
        return super()._apply(*args, **kwargs)
