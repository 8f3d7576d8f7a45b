"""A codebook: the nearest of K vectors, and how they learn."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from .configuration_vq_vae import VQVAEConfig
from .distributed import gather_batch
from .networks import at_least_float32

STRIDE = 7919  # a prime, so that restarts walk over all places of a batch


class Codebook(nn.Module):
    """K vectors of dimension d, `embeddings`.

    Either parameters, or averages of the vectors that they stand for, which are buffers like the
    statistics behind them. Averages begin at fixed values; with a restart threshold they take
    vectors of the first batch at once.
    """

    embeddings: Tensor
    usage: Tensor
    means: Tensor
    updates: Tensor

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.averaged = config.codebook == "ema"
        self.decay = config.codebook_decay
        self.restart_threshold = config.restart_threshold
        embeddings = torch.empty(config.num_codes, config.latent_size)
        if not self.averaged:
            self.embeddings = nn.Parameter(embeddings)
            return
        self.register_buffer("embeddings", embeddings)
        self.register_buffer("usage", torch.zeros(config.num_codes))
        self.register_buffer("means", torch.zeros_like(embeddings))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def begin(self) -> None:
        """Give every tensor its first value, if a file has not."""
        if not self.averaged:
            bound = 1 / len(self.embeddings)
            init.uniform_(self.embeddings, -bound, bound)
            return
        generator = torch.Generator().manual_seed(0)  # a buffer begins the same in every model
        init.copy_(self.embeddings, torch.randn(self.embeddings.shape, generator=generator))
        for buffer in (self.usage, self.means, self.updates):
            init.zeros_(buffer)

    def nearest(self, vectors: Tensor) -> Tensor:
        """Numbers of the nearest vectors, the lowest of equally near ones.

        Args:
            vectors: `(..., d)`.

        Returns:
            int64 `(...)`.
        """
        embeddings = at_least_float32(self.embeddings)
        vectors = at_least_float32(vectors).to(embeddings.dtype)
        scores = embeddings.square().sum(1) - 2 * vectors @ embeddings.T
        return scores.argmin(-1)

    def forward(self, codes: Tensor) -> Tensor:
        """The vectors of codes `(...)`, as `(..., d)`."""
        vectors: Tensor = functional.embedding(codes, self.embeddings)
        return vectors

    @torch.no_grad()
    def update(self, vectors: Tensor, codes: Tensor) -> None:
        r"""Move the averages by one batch, of all processes.

        .. math:: n_i \leftarrow \gamma n_i + (1-\gamma) \hat n_i, \quad
                  m_i \leftarrow \gamma m_i + (1-\gamma) \hat m_i, \quad e_i = m_i / n_i

        with :math:`\hat n_i` the share of the batch's vectors that code i has and
        :math:`\hat m_i` their sum over the number of all vectors. Vectors used less than the
        threshold restart at vectors of the batch, another place of it each time; which ones
        follows from the number of updates, so that a resumed run does the same.

        Args:
            vectors: the encoder's, `(N, d)`.
            codes: their nearest, `(N,)`.
        """
        vectors, codes = gather_batch(vectors.detach())[0], gather_batch(codes)[0]
        vectors = vectors.to(self.means)
        chosen = (codes[:, None] == torch.arange(len(self.usage), device=codes.device)).to(vectors)
        self.usage.lerp_(chosen.mean(0), 1 - self.decay)
        self.means.lerp_(chosen.T @ vectors / len(vectors), 1 - self.decay)
        used = self.usage > 0
        averages = self.means / torch.where(used, self.usage, 1)[:, None]
        self.embeddings.copy_(torch.where(used[:, None], averages, self.embeddings))
        self.updates += 1
        floor = self.restart_threshold / len(self.usage)
        if not floor:
            return
        dead = self.usage < floor
        places = torch.arange(len(dead), device=dead.device) * len(vectors) // len(dead)
        fresh = vectors[(places + self.updates * STRIDE) % len(vectors)]
        self.embeddings.copy_(torch.where(dead[:, None], fresh, self.embeddings))
        self.usage.copy_(torch.where(dead, floor, self.usage))
        self.means.copy_(torch.where(dead[:, None], floor * fresh, self.means))


def perplexity(codes: Tensor, num_codes: int) -> Tensor:
    """Exponential of the entropy of the codes' use, from 1 to K: how many are in even use."""
    ones = torch.ones(codes.numel(), device=codes.device)
    shares = torch.zeros(num_codes, device=codes.device).scatter_add(0, codes.flatten(), ones)
    shares = shares / codes.numel()
    entropy: Tensor = torch.special.entr(shares).sum()
    return entropy.exp()
