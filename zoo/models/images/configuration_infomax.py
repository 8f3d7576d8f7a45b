"""Settings of the encoder trained by mutual information."""

from typing import Any

from huggingface_hub.dataclasses import strict

from .checks import at_least, one_of
from .configuration_image import ImageConfig
from .layer_graph import black_and_white, check_graph

INFOMAX_NETWORKS = ("strided", "pooled", "layers")
ESTIMATORS = ("infonce", "jsd", "donsker_varadhan")
SCORES = ("dot_product", "concatenated")
NEGATIVES = ("all_pairs", "all_locations", "derangement")
TAPS = ("conv", "features", "code")


@strict
class InfoMaxConfig(ImageConfig):
    r"""Encoder trained by mutual information (Deep InfoMax, Hjelm et al., arXiv:1808.06670).

    .. math:: L = -\alpha I_{global} - \beta I_{local} + \gamma KL(p(z|x) \,\|\, N(0, I))

    in nats per image: the KL is summed over the code's dimensions, the local information
    averaged over locations. Networks whose weight is 0 are not made.

    Attributes:
        latent_size: dimension d of the code.
        network: `strided`, the paper's encoder of 32x32 images (convolutions 4x4 of stride 2,
            a dense layer of features), `pooled` (five convolutions 3x3, three halvings by
            maxima, features by one global maximum), or `layers`: a graph of layers, as
            `genae convert` makes it of a Keras model.
        width_multiplier: of the convolutions' 64, 128 and 256 channels.
        feature_size: width of the dense layer before the code (`strided`).
        alpha: weight of the information between the code and what `global_tap` names.
        beta: weight of the information between the code and the local features.
        gamma: weight of the prior, as the closed-form KL of a Gaussian code; 0 means no prior
            and a code without noise.
        estimator: `infonce` or `donsker_varadhan`, bounds in nats, or `jsd`, a score.
        score: `dot_product` of two embeddings or a network on the `concatenated` pair.
        score_size: width of the score networks.
        negatives: `all_pairs` of the batch at the same location; `all_locations` of the other
            images, as in the paper's InfoNCE; or a `derangement`: one other image each.
        global_tap: what the code is paired with globally: `conv` or `features`, earlier layers,
            or `code`, the code itself, which is easily recognised and so teaches little.
        num_locations: local features drawn in each training step; None takes all.
        encoder_layers: the encoder of `layers`: `layers`, `nodes`, `inputs` (one, the images) and
            `outputs`, as in `LayersConfig`: local features, the last convolution, features, and
            the code in one output or, with a prior, mean and log-variance in two.
        pixel_range: values of black and of white that a network of layers reads.
    """

    model_type = "genae_infomax"

    num_channels: int = 3
    latent_size: int = 64
    network: str = "strided"
    width_multiplier: float | int = 1.0
    feature_size: int = 1024
    alpha: float | int = 0.0
    beta: float | int = 1.0
    gamma: float | int = 0.0
    estimator: str = "infonce"
    score: str = "dot_product"
    score_size: int = 512
    negatives: str = "all_pairs"
    global_tap: str = "conv"
    num_locations: int | None = None
    encoder_layers: dict[str, Any] | None = None
    pixel_range: tuple[float | int, ...] | list[float | int] = (0.0, 1.0)

    def validate_infomax(self) -> None:
        """Check names, sizes, and that keeping information pays more than forgetting does."""
        one_of("network", self.network, INFOMAX_NETWORKS)
        one_of("estimator", self.estimator, ESTIMATORS)
        one_of("score", self.score, SCORES)
        one_of("negatives", self.negatives, NEGATIVES)
        one_of("global_tap", self.global_tap, TAPS)
        for field in ("latent_size", "feature_size", "score_size"):
            at_least(field, getattr(self, field), 1)
        for field in ("alpha", "beta", "gamma"):
            at_least(field, getattr(self, field), 0)
        if self.num_locations is not None:
            at_least("num_locations", self.num_locations, 1)
        if not 0 < self.width_multiplier < float("inf"):
            raise ValueError(
                f"width_multiplier must be positive and finite, got {self.width_multiplier}"
            )
        if self.network != "layers" and self.image_size % 8:
            raise ValueError(
                "image_size must be a multiple of 8, which three halvings need, got "
                f"{self.image_size}; pad the images (pad_size of the image processor)"
            )
        alone = self.network == "layers" and not (self.alpha or self.beta or self.gamma)
        if self.gamma >= self.alpha + self.beta and not alone:
            # Mean KL = information + KL of all codes together to the prior (`ELBO surgery`), so
            # at equal weights what is left is that last KL, and a constant code makes it 0.
            raise ValueError(
                f"gamma {self.gamma} must be below alpha + beta = {self.alpha + self.beta}: each "
                "nat that the code keeps costs at least gamma in the KL and earns at most alpha + "
                "beta, so a code that ignores the image would be optimal; lower gamma"
            )

    def validate_layers_network(self) -> None:
        """Check the settings of a network of layers, which no other network has."""
        black_and_white(self.pixel_range)
        if (self.encoder_layers is not None) != (self.network == "layers"):
            raise ValueError(
                f"encoder_layers is of network='layers', and this network is {self.network!r}: "
                "give both or neither"
            )
        if self.encoder_layers is None:
            return
        check_graph(self.encoder_layers, "encoder_layers.")
        inputs, outputs = self.encoder_layers["inputs"], self.encoder_layers["outputs"]
        wanted = 5 if self.gamma else 4
        if len(inputs) != 1 or len(outputs) != wanted:
            raise ValueError(
                f"encoder_layers has {len(inputs)} inputs and {len(outputs)} outputs, not 1 and "
                f"{wanted}: local features, the last convolution, features, the code"
                + (", its log-variance" if self.gamma else "")
            )
