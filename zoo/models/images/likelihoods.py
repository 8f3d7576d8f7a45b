r"""Likelihoods :math:`q(x|z)` of images given a decoder's output.

Each reads `params` of shape `(B, parameters_per_channel * C, H, W)` and images `(B, C, H, W)` in
[0, 1]; `log_prob` is in nats, summed over pixels and channels, one number per image. It also
takes axes before the batch and broadcasts over them: params `(K, B, ...)` of K codes an image
against images `(B, C, H, W)`, which then need no copies, give `(K, B)`.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration_image import AutoencoderConfig


def per_image(log_probs: Tensor) -> Tensor:
    """Sum over channels and pixels, the last three axes."""
    return log_probs.flatten(-3).sum(-1)


class Likelihood(nn.Module):
    """Base: the scale's bookkeeping, which the Gaussian and the logistic share."""

    has_scale = True
    is_discrete = False  # whether log_prob is of a probability rather than of a density
    min_log_scale = -6.0
    max_log_scale = 7.0

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.scale = config.scale if self.has_scale else None
        self.initial_log_scale = math.log(config.scale_value)
        self.linear = config.output_activation == "linear"
        self.parameters_per_channel = 2 if self.scale == "learned" else 1
        if self.scale == "shared":
            self.log_scale = nn.Parameter(torch.tensor(self.initial_log_scale))

    def location_and_log_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Split a decoder's output; a learned scale is bounded: constant pixels drive it to 0."""
        if self.scale == "learned":
            params, log_scale = params.chunk(2, dim=-3)
            log_scale = log_scale + self.initial_log_scale
        elif self.scale == "shared":
            log_scale = self.log_scale
        else:
            return params, params.new_tensor(self.initial_log_scale)
        return params, log_scale.clamp(self.min_log_scale, self.max_log_scale)

    def check_values(self, pixel_values: Tensor) -> None:
        """Raise `ValueError` unless `log_prob` is a probability or density of the images.

        Training does not ask: a Bernoulli likelihood may well be trained on grey images.
        """

    def log_prob(self, params: Tensor, pixel_values: Tensor) -> Tensor:
        """Log-likelihood in nats, shape `(B,)`."""
        raise NotImplementedError

    def mean(self, params: Tensor) -> Tensor:
        """The expected image, shape `(B, C, H, W)`, in [0, 1]."""
        raise NotImplementedError

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One image per row of params; the generator must live on their device."""
        raise NotImplementedError

    def simulate(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """As `sample`, but distributed exactly as `log_prob` says, even beyond [0, 1]."""
        return self.sample(params, generator)


class Bernoulli(Likelihood):
    r"""Two-valued pixels: :math:`\log q = x l - \mathrm{softplus}(l)` from logits l.

    A density only for x in {0, 1}; for grey x it is a cross-entropy and no basis for bits per
    dimension.
    """

    has_scale = False
    is_discrete = True

    def check_values(self, pixel_values: Tensor) -> None:
        grey = ((pixel_values != 0) & (pixel_values != 1)).flatten(1).any(1)
        if not pixel_values.is_meta and grey.any():
            raise ValueError(
                f"pixel_values: {int(grey.sum())} of {len(grey)} images are grey, and a Bernoulli "
                "likelihood of grey images is a cross-entropy, not a probability; make every "
                "pixel 0 or 1 first, as zoo.data.binarize(pixel_values) does"
            )

    def log_prob(self, params: Tensor, pixel_values: Tensor) -> Tensor:
        # Two sums and not one: a fifth less time, forwards and back, than the sum of differences.
        return per_image(params * pixel_values) - per_image(functional.softplus(params))

    def mean(self, params: Tensor) -> Tensor:
        return params.sigmoid()

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.bernoulli(params.sigmoid(), generator=generator)


class Gaussian(Likelihood):
    r"""Normal pixels around the sigmoid of the decoder's output, or around a linear output.

    .. math:: \log q = -\frac{(x-m)^2}{2 s^2} - \log s - \tfrac12 \log 2\pi

    A density of continuous pixels: not comparable with the probability of an 8-bit image
    unless the images were dequantised.
    """

    def center(self, location: Tensor) -> Tensor:
        """What pixels are normal around; a linear output may leave [0, 1]."""
        return location if self.linear else location.sigmoid()

    def log_prob(self, params: Tensor, pixel_values: Tensor) -> Tensor:
        location, log_scale = self.location_and_log_scale(params)
        error = pixel_values - self.center(location)
        if log_scale.ndim:
            error = error * (-log_scale).exp()
            constant = per_image(log_scale + 0.5 * math.log(2 * math.pi))
            return -0.5 * per_image(error.square()) - constant
        # One scale of all pixels is taken out of the sum: fewer passes over the images.
        constant = math.prod(error.shape[-3:]) * (log_scale + 0.5 * math.log(2 * math.pi))
        return -0.5 * (-2 * log_scale).exp() * per_image(error.square()) - constant

    def mean(self, params: Tensor) -> Tensor:
        center = self.center(self.location_and_log_scale(params)[0])
        return center.clamp(0, 1) if self.linear else center

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.simulate(params, generator).clamp(0, 1)

    def simulate(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location, log_scale = self.location_and_log_scale(params)
        noise = torch.empty_like(location).normal_(generator=generator)
        return self.center(location) + log_scale.exp() * noise


class DiscretizedLogistic(Likelihood):
    r"""The 256 values of a pixel, scaled to [-1, 1], under a logistic in bins of width 2/255.

    .. math:: P(k) = \sigma\big((x + h - m)/s\big) - \sigma\big((x - h - m)/s\big), \quad h = 1/255

    with the outer bins reaching to infinity (Salimans et al., arXiv:1701.05517). A probability,
    so it gives true bits per dimension. `mean` is the logistic's centre, clipped to [0, 1]: the
    expectation, were it not for the mass of the outer bins.
    """

    is_discrete = True
    min_log_scale = -7.0
    half_bin = 1 / 255

    def log_prob(self, params: Tensor, pixel_values: Tensor) -> Tensor:
        location, log_scale = self.location_and_log_scale(params)
        values = (pixel_values * 255).round()
        centered, inverse_scale = values / 127.5 - 1 - location, (-log_scale).exp()
        below_upper = functional.logsigmoid((centered + self.half_bin) * inverse_scale)
        above_lower = functional.logsigmoid((self.half_bin - centered) * inverse_scale)
        # sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - exp(b - a)), which loses no digits.
        width = torch.log(-torch.expm1(-2 * self.half_bin * inverse_scale))
        inside = below_upper + above_lower + width
        outer = torch.where(values == 0, below_upper, above_lower)
        return per_image(torch.where((values == 0) | (values == 255), outer, inside))

    def mean(self, params: Tensor) -> Tensor:
        return (0.5 * (self.location_and_log_scale(params)[0] + 1)).clamp(0, 1)

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location, log_scale = self.location_and_log_scale(params)
        uniform = torch.empty_like(location).uniform_(1e-6, 1 - 1e-6, generator=generator)
        values = location + log_scale.exp() * uniform.logit()
        return (127.5 * (values + 1)).round().clamp(0, 255) / 255


class BetaBinomial(Likelihood):
    r"""The 256 values of a pixel as successes in 255 trials of a beta-distributed chance.

    .. math:: P(k) = \binom{255}{k} \frac{B(k + \alpha, 255 - k + \beta)}{B(\alpha, \beta)}

    A probability, so it gives true bits per dimension. The decoder's output is
    :math:`\log \alpha` and :math:`\log \beta`, 0 for the uniform distribution; both are bounded,
    since constant pixels drive them to infinity. The gamma functions are computed in single
    precision or better: half precision loses all digits of differences of large numbers.
    """

    has_scale = False
    is_discrete = True
    trials = 255
    min_log_shape, max_log_shape = -9.0, 7.0

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__(config)
        self.parameters_per_channel = 2

    def log_shapes(self, params: Tensor) -> tuple[Tensor, Tensor]:
        r"""Bounded :math:`\log \alpha` and :math:`\log \beta`, each `(B, C, H, W)`."""
        if params.dtype in (torch.float16, torch.bfloat16):
            params = params.float()
        bounded = params.clamp(self.min_log_shape, self.max_log_shape)
        alpha, beta = bounded.chunk(2, dim=-3)
        return alpha, beta

    def log_prob(self, params: Tensor, pixel_values: Tensor) -> Tensor:
        alpha, beta = (log_shape.exp() for log_shape in self.log_shapes(params))
        successes = (pixel_values.to(alpha) * self.trials).round()
        failures = self.trials - successes
        ways = -torch.lgamma(successes + 1) - torch.lgamma(failures + 1)
        ways = ways + math.lgamma(self.trials + 1)
        total = alpha + beta
        counted = torch.lgamma(successes + alpha) + torch.lgamma(failures + beta)
        counted = counted - torch.lgamma(self.trials + total)
        norm = torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(total)
        return per_image(ways + counted - norm)

    def mean(self, params: Tensor) -> Tensor:
        alpha, beta = self.log_shapes(params)
        return (alpha - beta).sigmoid().to(params.dtype)

    def sample(self, params: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # Inverts the cumulative probability one value at a time: it takes a generator and needs
        # little memory, neither of which holds for torch's beta and gamma samplers.
        alpha, beta = (log_shape.exp() for log_shape in self.log_shapes(params))
        total = alpha + beta
        uniform = torch.empty_like(alpha).uniform_(generator=generator)
        log_prob = torch.lgamma(self.trials + beta) - torch.lgamma(beta)
        log_prob = log_prob - torch.lgamma(self.trials + total) + torch.lgamma(total)
        cumulative, successes = torch.zeros_like(alpha), torch.zeros_like(alpha)
        for k in range(self.trials):
            cumulative += log_prob.exp()
            successes += uniform >= cumulative
            left = self.trials - k
            log_prob = log_prob + ((k + alpha) / (left - 1 + beta)).log()
            log_prob = log_prob + math.log(left / (k + 1))
        return (successes / self.trials).to(params.dtype)


LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "discretized_logistic": DiscretizedLogistic,
    "beta_binomial": BetaBinomial,
}
