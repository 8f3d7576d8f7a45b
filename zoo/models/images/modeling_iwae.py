"""Importance-weighted autoencoder with one stochastic layer or several."""

import itertools
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import initialization as init

from .bounds import gaussian_log_prob
from .configuration_image import AutoencoderConfig
from .configuration_iwae import IWAEConfig
from .importance import ImportanceModel, Proposal, mean_and_log_var, standard_normal
from .modeling_autoencoder import AutoencoderOutput
from .networks import DECODERS, apply_network, as_input, perceptron


class LayeredDecoder(nn.Module):
    r"""Codes `(B, d)` down the stochastic layers to the likelihood's parameters.

    A code is the noise of every layer, the top one's first, so that its prior is N(0, I) whatever
    the number of layers: the top layer is its noise, and each layer below is
    :math:`h_i = \mu_i(h_{i+1}) + \sigma_i(h_{i+1}) \epsilon_i`.
    """

    def __init__(self, config: IWAEConfig, num_outputs: int) -> None:
        super().__init__()
        self.sizes = config.layer_sizes[::-1]
        hidden = list(reversed(config.upper_hidden_sizes))
        self.conditionals = nn.ModuleList(
            perceptron([upper, *hidden, 2 * lower], config.activation)
            for upper, lower in itertools.pairwise(self.sizes)
        )
        self.pixels: Any = DECODERS[config.network](config, num_outputs, self.sizes[-1])

    def forward(self, latents: Tensor) -> Tensor:
        layer, *noises = latents.split(self.sizes, dim=-1)
        for conditional, noise in zip(self.conditionals, noises, strict=True):
            mean, log_var = mean_and_log_var(apply_network(conditional, layer))
            layer = mean + (0.5 * log_var).exp() * noise
        return apply_network(self.pixels, layer)

    def code(self, layers: list[Tensor]) -> Tensor:
        """The code, `(..., d)`, of values of all layers, from the images up."""
        layer, *lower = layers[::-1]
        parts = [layer]
        for conditional, value in zip(self.conditionals, lower, strict=True):
            mean, log_var = mean_and_log_var(apply_network(conditional, layer))
            parts.append((value - mean) * (-0.5 * log_var).exp())
            layer = value
        return torch.cat(parts, dim=-1)

    def log_prior(self, layers: list[Tensor]) -> Tensor:
        """Log-density of values of all layers, from the images up, in nats, shape `(...)`."""
        layer, *lower = layers[::-1]
        total = gaussian_log_prob(layer, torch.zeros_like(layer), torch.zeros_like(layer))
        for conditional, value in zip(self.conditionals, lower, strict=True):
            total = total + gaussian_log_prob(
                value, *mean_and_log_var(apply_network(conditional, layer))
            )
            layer = value
        return total


class IWAEModel(ImportanceModel):
    r"""Importance-weighted autoencoder (Burda et al., arXiv:1509.00519).

    .. math:: L = -E_{z_1 \dots z_K \sim p(z|x)}
        \log \frac1K \sum_k \frac{q(x|z_k)\, q(z_k)}{p(z_k|x)}

    with p the encoder and q the decoder. The gradient is that of the bound or, doubly
    reparameterised (Tucker et al., arXiv:1810.04152, equation 8), another estimate of it, in which
    the encoder's share of every sample is weighted with the square of its normalised weight and
    the density of the proposal is not differentiated with respect to the encoder.
    """

    config_class = IWAEConfig
    decoder: LayeredDecoder
    mean_image: Tensor

    def __init__(self, config: IWAEConfig) -> None:
        super().__init__(config)
        sizes = config.layer_sizes
        self.upper_encoders = nn.ModuleList(
            perceptron([lower, *config.upper_hidden_sizes, 2 * upper], config.activation)
            for lower, upper in itertools.pairwise(sizes)
        )
        pixels = (config.num_channels, config.image_size, config.image_size)
        self.register_buffer("mean_image", torch.full(pixels, 0.5))
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is self:
            init.constant_(self.mean_image, 0.5)

    def encoder_width(self, config: AutoencoderConfig) -> int:
        """Mean and log-variance of the lowest layer."""
        lowest: int = cast(IWAEConfig, config).layer_sizes[0]
        return 2 * lowest

    def make_decoder(self, config: AutoencoderConfig, num_outputs: int) -> nn.Module:
        return LayeredDecoder(cast(IWAEConfig, config), num_outputs)

    def begin_training(self, mean_image: Tensor) -> None:
        """Centre the encoder's images, and start the decoder, at the mean image.

        The mean, `(C, H, W)` in [0, 1], is stored with the weights. Where a dense decoder has a
        Bernoulli likelihood its output bias starts at the mean's logit, cut to [0.001, 0.999],
        as the paper's authors do.
        """
        self.mean_image.copy_(mean_image)
        if self.config.network == "dense" and self.config.likelihood == "bernoulli":
            bias = mean_image.clamp(0.001, 0.999).logit().flatten()
            with torch.no_grad():
                self.decoder.pixels.layers[-1].bias.copy_(bias)

    def _lowest(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the lowest layer, each `(B, s)`.

        The encoder sees images minus the mean one, from which it learns faster than from
        [-1, 1], where most pixels of most images are at one end.
        """
        self.check_pixel_values(pixel_values)
        centred = pixel_values - self.mean_image
        halved = 0.5 + 0.5 * centred  # which the encoder takes to [-1, 1]
        return mean_and_log_var(apply_network(self.encoder, halved))

    @property
    def gaussian_posterior(self) -> bool:
        return not self.upper_encoders

    def posterior(self, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of p(z|x), each `(B, d)`, of a model with one stochastic layer.

        With gradient where it is asked for; see `gradient_if_asked`.

        Raises:
            ValueError: with more layers the posterior is no diagonal Gaussian.
        """
        if not self.gaussian_posterior:
            raise ValueError(
                f"the posterior of {1 + len(self.upper_encoders)} stochastic layers is no "
                "diagonal Gaussian; use encode_sample"
            )
        with self.gradient_if_asked(pixel_values):
            return self._lowest(pixel_values)

    def _encode(self, pixel_values: Tensor) -> Tensor:
        """Codes of the posterior means, layer by layer, shape `(B, d)`."""
        layer, _ = self._lowest(pixel_values)
        layers = [layer]
        for encoder in self.upper_encoders:
            layers.append(mean_and_log_var(apply_network(encoder, layers[-1]))[0])
        return self.decoder.code(layers)

    def encode_sample(
        self, pixel_values: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """One sample of each posterior, shape `(B, d)`."""
        with self.gradient_if_asked(pixel_values):
            layers, _ = self._climb(self._lowest(pixel_values), 1, generator)
            return self.decoder.code(layers)[0]

    def forward(self, pixel_values: Tensor, return_loss: bool = True) -> AutoencoderOutput:
        """K samples an image; the reconstruction is of the first. See `AutoencoderOutput`."""
        doubly = return_loss and self.config.gradient == "doubly-reparameterized"
        gate = Gate() if doubly and torch.is_grad_enabled() else None
        samples = self.config.importance_samples if return_loss else 1
        layers, log_proposal = self._climb(self._lowest(pixel_values), samples, None, gate)
        log_ratio = self.decoder.log_prior(layers) - log_proposal
        params = self.decode_draws(layers[0].flatten(0, 1)).unflatten(0, layers[0].shape[:2])
        log_likelihood = self.likelihood.log_prob(params, pixel_values)
        loss = None
        if return_loss:
            loss = self._loss(log_likelihood + log_ratio, gate)
        with torch.no_grad():
            return AutoencoderOutput(
                loss=loss,
                reconstruction_loss=-log_likelihood.mean(),
                kl=-log_ratio.mean(),
                reconstruction=self.likelihood.mean(params[0]),
                latents=self.decoder.code([layer[0] for layer in layers]),
            )

    def _loss(self, log_weights: Tensor, gate: "Gate | None") -> Tensor:
        """Minus the bound, averaged over the batch, from `(K, B)` log-weights."""
        bound = torch.logsumexp(log_weights, 0).mean() - torch.tensor(len(log_weights)).log()
        if gate is not None:
            gate.weights = log_weights.detach().softmax(0)
        return -bound

    def _climb(
        self,
        lowest: tuple[Tensor, Tensor],
        num_samples: int,
        generator: torch.Generator | None,
        gate: "Gate | None" = None,
    ) -> tuple[list[Tensor], Tensor]:
        """Samples of all layers, from the images up, `(K, B, s)` each, and their log-density.

        With a gate the samples' gradients pass through it, and the density is a function of the
        samples alone: the encoder's parameters are held fixed in it.
        """
        mean, log_var = lowest
        sample = torch.addcmul(
            mean, (0.5 * log_var).exp(),
            standard_normal((num_samples, *mean.shape), mean, generator),
        )  # fmt: skip
        if gate is None:
            value = sample
        else:
            value, mean, log_var = gate(sample), mean.detach(), log_var.detach()
        values, log_density = [value], gaussian_log_prob(value, mean, log_var)
        for encoder in self.upper_encoders:
            mean, log_var = mean_and_log_var(apply_network(encoder, sample))
            noise = standard_normal(mean.shape, mean, generator)
            sample = torch.addcmul(mean, (0.5 * log_var).exp(), noise)
            if gate is None:
                value = sample
            else:
                value = gate(sample)
                fixed = {name: p.detach() for name, p in encoder.named_parameters()}
                below = as_input(encoder, values[-1])
                mean, log_var = mean_and_log_var(functional_call(encoder, fixed, below))
            values.append(value)
            log_density = log_density + gaussian_log_prob(value, mean, log_var)
        return values, log_density

    def propose(self, pixel_values: Tensor) -> Proposal:
        lowest = self._lowest(pixel_values)

        def draw(num_samples: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
            layers, log_density = self._climb(lowest, num_samples, generator)
            return layers[0], self.decoder.log_prior(layers) - log_density

        return draw

    def decode_draws(self, latents: Tensor) -> Tensor:
        return apply_network(self.decoder.pixels, latents)


class Gate:
    """Multiplies the gradient of samples `(K, B, s)` by weights `(K, B)` set after the forward.

    The loss has weighted each sample's gradient once; this is the second time. What flows from a
    layer's sample to the layers below it bypasses the gate, or it would be weighted three times.
    """

    weights: Tensor

    def __call__(self, samples: Tensor) -> Tensor:
        """The samples, whose gradient will be weighted."""
        gated = samples.view_as(samples)
        # In the gradient's own type, which under autocast is not that of the weights.
        gated.register_hook(lambda gradient: gradient * self.weights[..., None].to(gradient.dtype))
        return gated
