"""Where a Synthesizer's logits come from, besides products of queries and keys.

Each form is a module that makes logits `(batch or 1, heads, queries, keys)`: batch 1 where it
reads no tokens. N is the number of positions, `max_position_embeddings`; column j of N is the key
at position j. Source: arXiv:2005.00743, section 3.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .attention import Places
from .configuration_synthesizer import SynthesizerConfig, nearest_divisors


class Form(nn.Module):
    """What all forms share.

    Args:
        config: of the model.
        layer: number of the layer, from 0 on.
    """

    reads: ClassVar[bool] = False  # the tokens

    def __init__(self, config: SynthesizerConfig, layer: int) -> None:
        super().__init__()
        self.config, self.index = config, layer
        self.heads, self.positions = config.num_attention_heads, config.max_position_embeddings
        self.width = config.hidden_size // self.heads

    def draw(self) -> None:
        """Give parameters fresh values, by transformers' initialisation."""

    def forward(self, hidden_states: Tensor, places: Places, keys: int) -> Tensor:
        """Logits.

        Args:
            hidden_states: `(batch, queries, hidden_size)`.
            places: positions of queries and keys.
            keys: number of keys.

        Returns:
            `(batch or 1, heads, queries, keys)`.
        """
        raise NotImplementedError


class Mean(Form):
    """All logits are 0, so that every visible token has the same weight."""

    def forward(self, hidden_states: Tensor, places: Places, keys: int) -> Tensor:
        zero = hidden_states.new_zeros((1, 1, 1, 1))
        return zero.expand(1, self.heads, hidden_states.shape[1], keys)


class Random(Form):
    """Logits that are learned for each pair of positions.

    As a bias, by its name, the matrix has no weight decay, which would make attention uniform.
    """

    trained: ClassVar[bool] = True

    def __init__(self, config: SynthesizerConfig, layer: int) -> None:
        super().__init__(config, layer)
        table = torch.empty(self.heads, self.positions, self.positions)
        if self.trained:
            self.position_bias = nn.Parameter(table)
        else:
            self.register_buffer("position_bias", table)

    def draw(self) -> None:
        init.normal_(self.position_bias, std=self.config.random_range)

    def forward(self, hidden_states: Tensor, places: Places, keys: int) -> Tensor:
        table = self.position_bias
        if places.queries is None or places.keys is None:
            start = places.start
            return table[None, :, start : start + hidden_states.shape[1], :keys]
        found: Tensor = table[:, places.queries[:, :, None], places.keys[:, None, :]]
        return found.transpose(0, 1)


class FixedRandom(Random):
    """The same, drawn once by a generator of its own, kept in files, and never trained."""

    trained = False

    def draw(self) -> None:
        seed = self.config.random_seed + 1_000_003 * self.index
        drawn = torch.randn(
            self.position_bias.shape,
            generator=torch.Generator().manual_seed(seed),
            device="cpu",
            dtype=torch.float32,
        )
        init.copy_(self.position_bias, self.config.random_range * drawn)


class FactorizedRandom(Form):
    """Products of learned vectors, one for each position of a query and of a key."""

    def __init__(self, config: SynthesizerConfig, layer: int) -> None:
        super().__init__(config, layer)
        shape = self.heads, self.positions, config.factors
        self.query_bias = nn.Parameter(torch.empty(shape))
        self.memory_bias = nn.Parameter(torch.empty(shape))

    def draw(self) -> None:
        # A sum of `factors` products of two such numbers has the deviation `random_range`.
        spread = (self.config.random_range**2 / self.config.factors) ** 0.25
        for table in (self.query_bias, self.memory_bias):
            init.normal_(table, std=spread)

    def forward(self, hidden_states: Tensor, places: Places, keys: int) -> Tensor:
        if places.queries is None or places.keys is None:
            start = places.start
            query = self.query_bias[None, :, start : start + hidden_states.shape[1]]
            memory = self.memory_bias[None, :, :keys]
        else:
            query = self.query_bias[:, places.queries].transpose(0, 1)
            memory = self.memory_bias[:, places.keys].transpose(0, 1)
        return query @ memory.transpose(-1, -2)


class HeadMap(nn.Module):
    """A dense map of its own for each head.

    Reads `(batch, length, heads, inputs)` and makes `(batch, length, heads, outputs)`, or the
    first of these alone.
    """

    def __init__(self, heads: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(heads, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(heads, outputs))

    def draw(self) -> None:
        """Weights that keep the size of what goes in."""
        init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)
        init.zeros_(self.bias)

    def forward(self, values: Tensor, outputs: int | None = None) -> Tensor:
        weight, bias = self.weight[..., :outputs], self.bias[..., :outputs]
        return torch.einsum("bqhi,hio->bqho", values, weight) + bias


def columns(logits: Tensor, places: Places, keys: int) -> Tensor:
    """The logits of the keys that there are.

    Args:
        logits: `(batch, queries, heads, N)`.
        places: positions of the keys.
        keys: their number.

    Returns:
        `(batch, heads, queries, keys)`.
    """
    logits = logits.transpose(1, 2)
    if places.keys is None:
        return logits[..., :keys]
    index = places.keys[:, None, None].expand(*logits.shape[:3], -1)
    return logits.gather(-1, index)


class Dense(Form):
    """relu(x W1 + b1) W2 + b2 of a head's part x of a token: its logits for all positions."""

    reads = True

    def __init__(self, config: SynthesizerConfig, layer: int) -> None:
        super().__init__(config, layer)
        self.inner = HeadMap(self.heads, self.width, self.width)
        self.outer = HeadMap(self.heads, self.width, self.positions)

    def forward(self, hidden_states: Tensor, places: Places, keys: int) -> Tensor:
        inner = self.inner(hidden_states.unflatten(-1, (self.heads, -1))).relu()
        return columns(self.outer(inner, keys if places.keys is None else None), places, keys)


class FactorizedDense(Form):
    """Products of two dense maps of a token's part: a numbers tiled, b numbers repeated.

    Tiling both would give no more than lcm(a, b) different columns of logits.
    """

    reads = True

    def __init__(self, config: SynthesizerConfig, layer: int) -> None:
        super().__init__(config, layer)
        tiled, repeated = nearest_divisors(self.positions)
        self.tiled = HeadMap(self.heads, self.width, tiled)
        self.repeated = HeadMap(self.heads, self.width, repeated)

    def forward(self, hidden_states: Tensor, places: Places, keys: int) -> Tensor:
        parts = hidden_states.unflatten(-1, (self.heads, -1))
        products = self.repeated(parts)[..., :, None] * self.tiled(parts)[..., None, :]
        return columns(products.flatten(-2), places, keys)


#: Forms by the name in a configuration.
MODULES: dict[str, type[Form]] = {
    "dense": Dense,
    "random": Random,
    "fixed_random": FixedRandom,
    "factorized_dense": FactorizedDense,
    "factorized_random": FactorizedRandom,
    "mean": Mean,
}
