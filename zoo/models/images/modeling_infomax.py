"""Encoder trained by mutual information: no decoder, no likelihood."""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

from .bounds import gaussian_kl
from .checks import one_of
from .configuration_infomax import TAPS, InfoMaxConfig
from .distributed import gather_batch
from .importance import mean_and_log_var, reparametrize
from .information import (
    ESTIMATES,
    IN_NATS,
    PAIRINGS,
    SCORE_NETWORKS,
    Score,
    information_cap,
)
from .layer_networks import ImageGraph
from .modeling_image import GenaePreTrainedModel
from .networks import as_input, at_least_float32, normalized, scaled

CHANNELS = (64, 128, 256)
SLOPE = 0.2  # of the leaky ReLU


@dataclass
class InfoMaxOutput(ModelOutput):
    """What `InfoMaxModel.forward` returns; all terms are averaged over the batch.

    Attributes:
        loss: what training minimises; None without `return_loss`.
        global_information: between code and image, in nats (InfoNCE, Donsker-Varadhan).
        local_information: between code and local features, averaged over locations, in nats.
        global_score: the same pairs' Jensen-Shannon score, from 0 to 2 log 2 and not in nats.
        local_score: likewise, averaged over locations.
        information_cap: log N in nats, which InfoNCE cannot exceed; of the local term where
            there are both.
        kl: from the code's Gaussian to the prior, summed over dimensions, in nats.
        latents: the codes that were scored, shape `(B, d)`: samples where there is a prior.
    """

    loss: Tensor | None = None
    global_information: Tensor | None = None
    local_information: Tensor | None = None
    global_score: Tensor | None = None
    local_score: Tensor | None = None
    information_cap: Tensor | None = None
    kl: Tensor | None = None
    latents: Tensor | None = None


#: Local features, the last convolution, the layer before the code; the sizes of what they make.
Stages = tuple[nn.Module, nn.Module, nn.Module, tuple[int, int, int]]


class InfoMaxEncoder(nn.Module):
    """Convolutions up to the local features, convolutions after them, features, code.

    Called with images `(B, C, H, W)` in [0, 1], taken to [-1, 1], it gives every stage's
    output: local features `(B, F, h, w)`, the last convolution `(B, 256 * width, 4, 4)` for
    images of 32 pixels, features `(B, feature_size)`, and the code's parameters.
    """

    def __init__(self, config: InfoMaxConfig, num_outputs: int) -> None:
        super().__init__()
        self.local, self.conv, self.features, sizes = STAGES[config.network](config)
        self.local_size, self.conv_size, self.feature_size = sizes
        self.output = nn.Linear(self.feature_size, num_outputs)

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        local = self.local((2 * pixel_values - 1).contiguous(memory_format=torch.channels_last))
        conv = self.conv(local)
        features = self.features(conv)
        return local, conv, features, self.output(features)


def strided_stages(config: InfoMaxConfig) -> Stages:
    """The stages of the paper's encoder of 32x32 images, and their outputs' sizes."""
    widths = [config.num_channels, *(scaled(c, config.width_multiplier) for c in CHANNELS)]
    layers = [
        normalized(nn.Conv2d(fan_in, width, 4, 2, 1, bias=False), width)
        for fan_in, width in itertools.pairwise(widths)
    ]
    conv_size = widths[3] * (config.image_size // 8) ** 2
    features = nn.Sequential(
        nn.Flatten(),
        nn.Linear(conv_size, config.feature_size, bias=False),
        nn.BatchNorm1d(config.feature_size),
        nn.ReLU(),
    )
    local, conv = nn.Sequential(*layers[0], *layers[1]), nn.Sequential(*layers[2])
    return local, conv, features, (widths[2], conv_size, config.feature_size)


def pooled_stages(config: InfoMaxConfig) -> Stages:
    """The stages of the encoder that takes maxima, and their outputs' sizes."""
    widths = [scaled(channels, config.width_multiplier) for channels in CHANNELS]
    widths = [config.num_channels, *widths, widths[-1], widths[-1]]
    layers = [
        (
            nn.Conv2d(fan_in, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(SLOPE),
        )
        for fan_in, width in itertools.pairwise(widths)
    ]
    local = nn.Sequential(*(part for each in layers[:3] for part in (*each, nn.MaxPool2d(2))))
    conv = nn.Sequential(*layers[3], *layers[4])
    features = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
    conv_size = widths[-1] * (config.image_size // 8) ** 2
    return local, conv, features, (widths[3], conv_size, widths[-1])


STAGES = {"strided": strided_stages, "pooled": pooled_stages}


class LayersStages(ImageGraph):
    """The same four outputs by a graph of layers, which has them in this order.

    A second output of the code, its log-variance, comes behind the first.
    """

    def __init__(self, config: InfoMaxConfig) -> None:
        table = config.encoder_layers or {}
        super().__init__(table, config.pixel_range)
        local, conv, features, *_ = self.shapes(table, config.data_shape)
        self.local_size, self.conv_size = local[-1], conv.numel()
        self.feature_size = features[-1]

    def forward(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        local, conv, features, *code = self.outputs(pixel_values)
        return local.movedim(-1, 1), conv.movedim(-1, 1), features, torch.cat(code, 1)


class InfoMaxModel(GenaePreTrainedModel):
    r"""Encoder trained by mutual information (Deep InfoMax, Hjelm et al., arXiv:1808.06670).

    .. math:: L = -\alpha I_{global} - \beta I_{local} + \gamma KL(p(z|x) \,\|\, N(0, I))

    It is a variational autoencoder's loss with the reconstruction, which bounds the information
    that a code keeps, replaced by an estimate of that information: the code must pick its own
    image, or each local feature of it, among those of other images. Negatives are those of
    the whole batch, over all processes of a distributed run; so should be the statistics of the
    encoder's batch norm, see `distributed.whole_batch_norms`.
    """

    config_class = InfoMaxConfig
    sees_whole_batch = ("global_scores", "local_scores")
    taps = TAPS
    global_scores: Score
    local_scores: Score

    def __init__(self, config: InfoMaxConfig) -> None:
        super().__init__(config)
        size = config.latent_size
        self.encoder: InfoMaxEncoder | LayersStages
        if config.network == "layers":
            self.encoder = LayersStages(config)
        else:
            self.encoder = InfoMaxEncoder(config, 2 * size if config.gamma else size)
        network = SCORE_NETWORKS[config.score]
        if config.alpha:
            tapped = {
                "conv": self.encoder.conv_size,
                "features": self.encoder.feature_size,
                "code": size,
            }[config.global_tap]
            self.global_scores = network(tapped, size, config.score_size)
        if config.beta:
            self.local_scores = network(self.encoder.local_size, size, config.score_size)
        self.post_init()

    @property
    def min_batch_size(self) -> int:
        """Minimum number of images for the loss: one, and another to contrast it with."""
        return 2

    def encode(self, pixel_values: Tensor, tap: str = "code") -> Tensor:
        """A layer's output for images, float32, in the model's current mode.

        With gradient where it is asked for, see `gradient_if_asked`.

        Args:
            pixel_values: shape `(B, C, H, W)`, floats in [0, 1].
            tap: `conv`, the last convolution, flattened; `features`, the layer before the code;
                `code`, the code, its mean where there is a prior.

        Returns:
            Shape `(B, size)`: 4096, 1024 and 64 in the paper's encoder.

        Raises:
            ValueError: for another tap, or images of another shape or range.
        """
        one_of("tap", tap, TAPS)
        self.check_pixel_values(pixel_values)
        with self.gradient_if_asked(pixel_values):
            _, conv, features, outputs = self.encoder(as_input(self.encoder, pixel_values))
            layers: dict[str, Tensor] = {
                "conv": conv.flatten(1),
                "features": features,
                "code": self._code(outputs)[0],
            }
            return at_least_float32(layers[tap])

    def encode_sample(
        self, pixel_values: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Codes as the score networks receive them, `(B, d)`: samples where there is a prior."""
        self.check_pixel_values(pixel_values)
        with self.gradient_if_asked(pixel_values):
            outputs = self.encoder(as_input(self.encoder, pixel_values))[-1]
            return self._sample(*self._code(outputs), generator)

    def _code(self, outputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and log-variance `(B, d)`; no variance without a prior."""
        if not self.config.gamma:
            return outputs, None
        return mean_and_log_var(at_least_float32(outputs))

    @staticmethod
    def _sample(
        mean: Tensor, log_var: Tensor | None, generator: torch.Generator | None = None
    ) -> Tensor:
        return mean if log_var is None else reparametrize(mean, log_var, generator)

    def forward(
        self,
        pixel_values: Tensor,
        return_loss: bool = True,
        other_view: Tensor | None = None,
    ) -> InfoMaxOutput:
        """Score a batch; see `InfoMaxOutput`.

        Args:
            pixel_values: shape `(B, C, H, W)`, floats in [0, 1].
            return_loss: if False, only the codes are computed.
            other_view: the same images, changed in another way. Each view's codes are then
                scored with the other view's features, and the terms are the means of both (as in
                Bachman et al., arXiv:1906.00910), so codes keep what the views share.

        Raises:
            ValueError: with `return_loss` and fewer than 2 images, which leave no negative; or of
                an encoder alone.
        """
        if return_loss and not (self.config.alpha or self.config.beta):
            raise ValueError(
                "this model was made of the encoder alone and has no scores to learn by: use "
                "encode, or return_loss=False"
            )
        views = [pixel_values] if other_view is None else [pixel_values, other_view]
        for view in views:
            self.check_pixel_values(view)
        local, conv, features, outputs = self.encoder(as_input(self.encoder, torch.cat(views)))
        mean, log_var = self._code(outputs)
        latents = self._sample(mean, log_var)
        if not return_loss:
            return InfoMaxOutput(latents=latents[: pixel_values.shape[0]])
        config = self.config
        if len(gather_batch(latents)[0]) < 2 * len(views):
            raise ValueError(
                "pixel_values contain 1 image and no other to contrast it with; the loss needs a "
                "batch of at least 2 (with return_loss=False, 1 is enough)"
            )
        kind = "information" if config.estimator in IN_NATS else "score"
        terms: dict[str, Tensor] = {}
        loss = latents.new_zeros(())
        if config.alpha:
            tapped = {"conv": conv.flatten(1), "features": features, "code": latents}
            estimates, cap = self._estimate(
                self.global_scores, tapped[config.global_tap], latents, len(views)
            )
            terms[f"global_{kind}"] = estimates.mean()
            loss = loss - config.alpha * estimates.mean()
        if config.beta:
            places = self._locations(local.flatten(2))
            estimates, cap = self._estimate(self.local_scores, places, latents, len(views))
            terms[f"local_{kind}"] = estimates.mean()
            loss = loss - config.beta * estimates.mean()
        if config.estimator == "infonce":
            terms["information_cap"] = cap
        if log_var is not None:
            terms["kl"] = gaussian_kl(mean, log_var).sum(1).mean()
            loss = loss + config.gamma * terms["kl"]
        return InfoMaxOutput(loss=loss, latents=latents[: pixel_values.shape[0]], **terms)

    def _locations(self, local: Tensor) -> Tensor:
        """Local features `(B, F, L)` as `(B, L, F)`; in training a draw of `num_locations`."""
        count, places = self.config.num_locations, local.shape[2]
        if self.training and count is not None and count < places:
            drawn = torch.randperm(places, device=local.device)[:count]
            drawn, _ = gather_batch(drawn)  # the first process's draw, for all
            local = local[..., drawn[:count]]
        return local.transpose(1, 2)

    def _estimate(
        self, scores: Score, features: Tensor, codes: Tensor, num_views: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Information between features `(V B, ..., F)` and codes `(V B, d)` of V views; its cap.

        One view's codes are paired with its own features, two views' with each other's.
        """
        estimates, caps = [], []
        for own, other in zip(
            codes.chunk(num_views), reversed(features.chunk(num_views)), strict=True
        ):
            gathered_codes, _ = gather_batch(own)
            gathered, _ = gather_batch(other)
            # The batch second to last: every location is an estimate of its own.
            gathered = gathered if gathered.ndim == 2 else gathered.transpose(0, 1)
            positive, negative = PAIRINGS[self.config.negatives](scores, gathered, gathered_codes)
            caps.append(information_cap(negative.detach()).max())
            estimates.append(ESTIMATES[self.config.estimator](positive, negative))
        return torch.stack(estimates), torch.stack(caps).max()
