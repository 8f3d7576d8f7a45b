"""Kinds of prior q(z): where codes without an image come from, and what others cost."""

import math
from typing import cast

import torch
from torch import Tensor, nn

from .bounds import gaussian_kl
from .configuration_vae import VAEConfig
from .networks import apply_network, perceptron
from .posteriors import Gaussian, Posterior
from .samplers import LatentSampler, normal


class StandardPrior(LatentSampler):
    """The posterior's own: N(0, I), uniform on the sphere, or uniform choices."""

    def __init__(self, config: VAEConfig, posterior: Posterior) -> None:
        super().__init__()
        self.posterior = posterior

    def kl(self, outputs: Tensor, latents: Tensor, labels: Tensor | None) -> Tensor:
        """KL of posteriors to it in nats, `(B, terms)`, to be summed over terms.

        Args:
            outputs: of the encoder.
            latents: one code of each posterior, for what has no closed form.
            labels: of the images, or None.
        """
        return self.posterior.kl(outputs)

    def log_prob(self, latents: Tensor) -> Tensor:
        """Log-density of codes `(..., d)` in nats, `(...)`."""
        return self.posterior.prior_log_prob(latents)

    def draw(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        if temperature != 1 and not self.posterior.has_spread:
            raise ValueError(
                f"temperature: the prior of this model is uniform and has no spread, got "
                f"{temperature:g}; leave it out"
            )
        return self.posterior.draw_prior(num_samples, temperature, generator)


class GaussianPriors(StandardPrior):
    """Base of mixtures of N(m_k, I), equally likely."""

    def centers(self) -> Tensor:
        """The means, `(K, d)`."""
        raise NotImplementedError

    def log_prob(self, latents: Tensor) -> Tensor:
        centers = self.centers().to(latents)
        parts = self.posterior.prior_log_prob(latents.unsqueeze(-2) - centers)
        return parts.logsumexp(-1) - math.log(len(centers))

    def draw(
        self, num_samples: int, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        device = "cpu" if generator is None else generator.device
        count = len(self.centers())
        labels = torch.randint(count, (num_samples,), generator=generator, device=device)
        return self.draw_labeled(labels, temperature, generator)

    def draw_labeled(
        self, labels: Tensor, temperature: float, generator: torch.Generator | None
    ) -> Tensor:
        noise = normal((len(labels), self.posterior.size), generator)
        centers = self.centers().detach().to(noise)
        return centers[labels.to(noise.device)] + temperature * noise

    @property
    def num_labels(self) -> int:
        """Number of the components, each of which can be asked for."""
        return len(self.centers())


class MeansOfLabels(nn.Linear):
    """A map of one-hot labels; new weights are N(0, 1), or classes would long share codes."""


class ClassMeans(GaussianPriors):
    """A mean for each label, as a linear map of one-hot labels.

    An image without a label costs what it does under the mixture of all classes.
    """

    def __init__(self, config: VAEConfig, posterior: Posterior) -> None:
        super().__init__(config, posterior)
        self.means = MeansOfLabels(cast(int, config.num_labels), config.latent_size)

    def centers(self) -> Tensor:
        return self.means.weight.T + self.means.bias

    def kl(self, outputs: Tensor, latents: Tensor, labels: Tensor | None) -> Tensor:
        if labels is None:
            own = self.posterior.log_prob(outputs, latents)
            return (own - self.log_prob(latents)).unsqueeze(1)
        mean, log_var = cast(Gaussian, self.posterior).moments(outputs)
        return gaussian_kl(mean - self.centers().to(mean)[labels], log_var)


class Clusters(GaussianPriors):
    r"""Means that the model finds itself, and a classifier q(y|z) of codes into them.

    The KL is that of code and cluster together, with z a sample:

    .. math:: \sum_y q(y|z) \tfrac12 \|z - m_y\|^2 - \tfrac12 \sum_i (1 + \log \sigma_i^2)
        + \sum_y q(y|z) \log q(y|z) + \log K
    """

    def __init__(self, config: VAEConfig, posterior: Posterior) -> None:
        super().__init__(config, posterior)
        self.means = nn.Embedding(config.num_clusters, config.latent_size)
        sizes = [config.latent_size, config.cluster_hidden_size, config.num_clusters]
        self.classifier = perceptron(sizes)

    def centers(self) -> Tensor:
        return self.means.weight

    def assign(self, latents: Tensor) -> Tensor:
        """Log-probabilities of the clusters of codes, `(B, K)`."""
        return apply_network(self.classifier, latents).log_softmax(-1)

    def kl(self, outputs: Tensor, latents: Tensor, labels: Tensor | None) -> Tensor:
        _, log_var = cast(Gaussian, self.posterior).moments(outputs)
        log_shares = self.assign(latents)
        shares = log_shares.exp()
        distances = (latents.unsqueeze(1) - self.centers().to(latents)).square()
        squares = torch.einsum("bk,bkd->bd", shares, distances)
        entropies = (shares * log_shares).sum(1, keepdim=True) + math.log(shares.shape[1])
        return torch.cat([0.5 * (squares - 1 - log_var), entropies], 1)


PRIORS: dict[str, type[StandardPrior]] = {
    "standard": StandardPrior,
    "class_means": ClassMeans,
    "clusters": Clusters,
}
