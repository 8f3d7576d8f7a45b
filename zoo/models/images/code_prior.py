"""A distribution over grids of codes, one code after the other."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .configuration_vq_vae import VQVAEConfig
from .networks import at_least_float32
from .samplers import LatentSampler

STD = 0.02  # of embeddings at first
DRAWN_AT_ONCE = 1024  # grids; limits the memory of their keys and values


class Block(nn.Module):
    """Causal self-attention and a perceptron, each behind a layer norm."""

    def __init__(self, size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm, self.norm = nn.LayerNorm(size), nn.LayerNorm(size)
        self.queries_keys_values = nn.Linear(size, 3 * size)
        self.attended = nn.Linear(size, size)
        self.perceptron = nn.Sequential(
            nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size)
        )

    def forward(self, x: Tensor, before: list[Tensor] | None = None) -> Tensor:
        """One layer.

        Args:
            x: `(B, n, size)`.
            before: keys and values of the places before x, to which its own are added; then x is
                one place, which sees them all.
        """
        made = self.queries_keys_values(self.attention_norm(x))
        heads = made.unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys, values = heads.unbind()
        if before is not None:
            if before:
                keys, values = torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)
            before[:] = [keys, values]
        seen = functional.scaled_dot_product_attention(
            queries, keys, values, is_causal=before is None
        )
        x = x + self.attended(seen.transpose(1, 2).flatten(2))
        out: Tensor = x + self.perceptron(self.norm(x))
        return out


class CodePrior(LatentSampler):
    r"""A causal transformer, :math:`p(c) = \prod_i p(c_i | c_1, ..., c_{i-1})`.

    Codes are read row by row. All conditionals of given codes are computed at once; drawing
    goes code by code and keeps the keys and values of those before.
    """

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.shape, self.num_codes = config.grid_shape, config.num_codes
        size, num_places = config.prior_hidden_size, math.prod(self.shape)
        self.start = nn.Parameter(torch.empty(size))
        self.codes = nn.Embedding(config.num_codes, size)
        self.places = nn.Parameter(torch.empty(num_places, size))
        self.layers = nn.ModuleList(
            Block(size, config.prior_num_heads) for _ in range(config.prior_num_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.output = nn.Linear(size, config.num_codes)

    def begin(self) -> None:
        """Give the tensors that belong to no layer their first values, if a file has not."""
        init.normal_(self.start, std=STD)
        init.normal_(self.places, std=STD)

    def forward(self, codes: Tensor) -> Tensor:
        """Logits of every code given those before it, `(B, h, w, K)`, of codes `(B, h, w)`."""
        known = self.codes(codes.flatten(1)[:, :-1])
        x = torch.cat([self.start.expand(codes.shape[0], 1, -1), known], 1) + self.places
        for layer in self.layers:
            x = layer(x)
        logits: Tensor = self.output(self.norm(x)).unflatten(1, self.shape)
        return at_least_float32(logits)

    def log_prob(self, codes: Tensor) -> Tensor:
        """Log-probability of grids of codes `(B, h, w)`, in nats, `(B,)`."""
        losses = functional.cross_entropy(
            self(codes).flatten(0, -2), codes.flatten(), reduction="none"
        )
        log_probs: Tensor = -losses.unflatten(0, (codes.shape[0], -1)).sum(1)
        return log_probs

    def draw(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        """Draw grids of codes, int64 `(N, h, w)`.

        Args:
            num_samples: N.
            temperature: divides the logits; at 0 each code is the likeliest.
            generator: of the random numbers; the CPU's global one if None.
        """
        device = "cpu" if generator is None else generator.device
        shape = num_samples, len(self.places)
        uniform = torch.rand(shape, generator=generator, device=device).to(self.start.device)
        with torch.no_grad():
            chunks = uniform.split(DRAWN_AT_ONCE)
            return torch.cat([self.codes_of(chunk, temperature) for chunk in chunks])

    def codes_of(self, uniform: Tensor, temperature: float = 1.0) -> Tensor:
        """Grids of codes `(N, h, w)` that numbers in [0, 1), `(N, h w)`, stand for.

        Each is looked up in the cumulation of its code's conditional.
        """
        x = self.start.expand(len(uniform), -1)
        kept: list[list[Tensor]] = [[] for _ in self.layers]
        drawn: list[Tensor] = []
        for place, number in zip(self.places, uniform.unbind(1), strict=True):
            x = (x + place)[:, None]
            for layer, before in zip(self.layers, kept, strict=True):
                x = layer(x, before)
            logits = at_least_float32(self.output(self.norm(x[:, 0])))
            if temperature == 0:
                codes = logits.argmax(-1)
            else:
                reached = (logits / temperature).softmax(-1).cumsum(-1)
                codes = (reached <= number[:, None]).sum(-1).clamp(max=self.num_codes - 1)
            drawn.append(codes)
            x = self.codes(codes)
        grids: Tensor = torch.stack(drawn, 1).unflatten(1, self.shape)
        return grids
