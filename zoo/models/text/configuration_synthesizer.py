"""Configuration of the Synthesizer: what the logits of attention are made of."""

import copy
import math
from collections.abc import Iterable

from huggingface_hub.dataclasses import strict

from .checks import at_least, one_of
from .configuration_text import TextConfig

DOT_PRODUCT, MEAN = "dot_product", "mean"
#: Where logits come from, by the name in a configuration.
FORMS = (
    DOT_PRODUCT,
    "dense",
    "random",
    "fixed_random",
    "factorized_dense",
    "factorized_random",
    MEAN,
)
MIXTURES = ("softmax", "sigmoid", "sum")
NORMS = ("pre", "post")


def nearest_divisors(number: int) -> tuple[int, int]:
    """The two numbers nearest each other whose product is a number.

    Example:
        >>> nearest_divisors(128), nearest_divisors(7)
        ((8, 16), (1, 7))
    """
    lower = max(d for d in range(1, math.isqrt(number) + 1) if number % d == 0)
    return lower, number // lower


@strict
class SynthesizerConfig(TextConfig):
    """Sizes and options of a Synthesizer (arXiv:2005.00743); see `TextConfig` for the others.

    `attention` says where the logits of self-attention come from, N being
    `max_position_embeddings`:

    * `dot_product`: queries times keys, as in a Transformer.
    * `dense`: two dense maps of each token's part for a head give its N logits.
    * `random`: N x N logits for each head, learned, whatever the tokens.
    * `fixed_random`: the same, drawn once and never trained.
    * `factorized_dense`: two dense maps give a and b numbers with a b = N; logit j is the product
      of number j mod a of the first and number j // a of the second.
    * `factorized_random`: the product of two N x `factors` matrices, learned.
    * `mean`: all logits are 0.

    Args:
        attention: one of these; several joined by `+` for a mixture; or a list of such, one for
            each layer.
        mixture: how logits are mixed: "softmax", a convex combination with learned weights;
            "sigmoid", the same of two forms; "sum".
        factors: width of the factors of `factorized_random`.
        norm: "post" normalises after each half of a block, as in BERT; "pre" before, and once at
            the end, as in GPT-2.
        rms_norm: normalise by the root of the mean square, with a scale and no offset, as in T5
            (arXiv:1910.07467), instead of layer normalisation.
        bias: whether the dense maps of the blocks have offsets.
        position_embeddings: whether a table of positions is added to the embeddings; random forms
            know positions without it.
        scale_attn_weights: divide dot products by the square root of a head's width.
        scale_output: multiply what an encoder-decoder's head reads by `hidden_size`^-0.5, as T5
            does with a tied head.
        random_range: standard deviation of fresh logits that read no tokens.
        random_seed: of the logits that are never trained, with the number of their layer.
        num_decoder_layers: of an encoder-decoder; None is `num_hidden_layers`.
        decoder_attention: as `attention`, of an encoder-decoder's decoder; None is the same.
        decoder_start_token_id: what the input of a decoder begins with; None is `bos_token_id`,
            else `pad_token_id`, else 0, of an encoder-decoder.
    """

    model_type = "genae_synthesizer"

    attention: str | list[str] = "random+dot_product"
    mixture: str = "softmax"
    factors: int = 8
    norm: str = "post"
    rms_norm: bool = False
    bias: bool = True
    position_embeddings: bool = True
    scale_attn_weights: bool = True
    scale_output: bool = False
    random_range: float | int = 1.0
    random_seed: int = 0
    pooler: bool = False
    type_vocab_size: int = 0
    num_decoder_layers: int | None = None
    decoder_attention: str | list[str] | None = None
    decoder_start_token_id: int | None = None

    # Class variables of the other families, which follow from fields here: so mypy objects.
    @property
    def position_kind(self) -> str:  # type: ignore[override]
        """How tokens know where they stand, besides by their logits."""
        return "table" if self.position_embeddings else "none"

    @property
    def norm_kind(self) -> str:  # type: ignore[override]
        """How values are normalised."""
        return "scaled_rms" if self.rms_norm else "layer"

    @property
    def use_bias(self) -> bool:  # type: ignore[override]
        """Whether dense maps of blocks have offsets."""
        return self.bias

    @property
    def block_kind(self) -> str:  # type: ignore[override]
        """How a block is put together."""
        return f"{self.norm}_norm"

    @property
    def final_norm(self) -> bool:  # type: ignore[override]
        """Whether a normalisation follows the last block."""
        return self.norm == "pre"

    @property
    def embedding_norm(self) -> bool:  # type: ignore[override]
        """Whether embeddings are normalised."""
        return self.norm == "post"

    @property
    def dot_product_scale(self) -> float:
        """What products of queries and keys are multiplied by."""
        return super().dot_product_scale if self.scale_attn_weights else 1.0

    def forms(self) -> list[tuple[str, ...]]:
        """The forms that each layer mixes."""
        return _by_layer("attention", self.attention, self.num_hidden_layers)

    def decoder_forms(self) -> list[tuple[str, ...]]:
        """The same of the layers of an encoder-decoder's decoder."""
        layers = self.num_decoder_layers or self.num_hidden_layers
        if self.decoder_attention is None:
            return _by_layer("attention", self.attention, layers)
        return _by_layer("decoder_attention", self.decoder_attention, layers)

    def encoder_config(self) -> "SynthesizerConfig":
        """Settings of an encoder-decoder's encoder alone."""
        config = copy.deepcopy(self)
        config.is_encoder_decoder, config.attention_mask_kind = False, "full"
        return config

    def decoder_config(self) -> "SynthesizerConfig":
        """Settings of its decoder alone."""
        config = self.encoder_config()
        config.attention_mask_kind, config.pooler = "causal", False
        config.num_hidden_layers = self.num_decoder_layers or self.num_hidden_layers
        config.attention = ["+".join(forms) for forms in self.decoder_forms()]
        return config

    def get_text_config(
        self, decoder: bool | None = None, encoder: bool | None = None
    ) -> "SynthesizerConfig":
        """As transformers asks for it: a cache for the decoder has the decoder's depth.

        Args:
            decoder: ask for the decoder's settings.
            encoder: ask for the encoder's settings.
        """
        return self.decoder_config() if decoder and self.is_encoder_decoder else self

    def validate_synthesizer(self) -> None:
        """Raise `ValueError` for forms and sizes that cannot be."""
        one_of("mixture", self.mixture, MIXTURES)
        one_of("norm", self.norm, NORMS)
        at_least("factors", self.factors, 1)
        at_least("max_position_embeddings", self.max_position_embeddings, 1)
        at_least("random_range", self.random_range, 0)
        at_least("random_seed", self.random_seed, 0)
        if self.num_decoder_layers is not None:
            at_least("num_decoder_layers", self.num_decoder_layers, 1)
        for field, taken in (
            ("residual_attention_scores", self.residual_attention_scores),
            ("hierarchical_position", self.hierarchical_position),
            ("num_hidden_groups", self.num_hidden_groups),
        ):
            if taken:
                raise ValueError(f"{field} is not for a Synthesizer, got {taken}; leave it out")
        layers = self.forms()
        if self.is_encoder_decoder or self.decoder_attention is not None:
            layers = layers + self.decoder_forms()
        for forms in layers:
            self._validate_forms(forms)

    def _validate_forms(self, forms: tuple[str, ...]) -> None:
        written = "+".join(forms)
        for form in forms:
            one_of("attention", form, FORMS)
        if len(set(forms)) < len(forms):
            raise ValueError(f"attention {written!r} has a form twice; name each once")
        if MEAN in forms and len(forms) > 1:
            raise ValueError(f"attention {written!r}: a mixture with logits 0 adds nothing to it")
        if self.mixture == "sigmoid" and len(forms) > 2:
            raise ValueError(
                f"attention {written!r}: mixture 'sigmoid' weighs two forms against each other, "
                f"got {len(forms)}; give mixture 'softmax' or 'sum'"
            )
        if {"dense", "factorized_dense"} & set(forms) and self.hidden_size % (
            self.num_attention_heads
        ):
            raise ValueError(
                f"attention {written!r}: hidden_size {self.hidden_size} is not a multiple of "
                f"{self.num_attention_heads} heads, each of which reads its part"
            )
        length = self.max_position_embeddings
        if "factorized_dense" in forms and length > 1 and nearest_divisors(length)[0] == 1:
            raise ValueError(
                f"attention {written!r}: max_position_embeddings {length} is prime, and "
                f"factorized_dense splits it into two factors; give {length + 1}, or 'dense'"
            )


def _by_layer(field: str, attention: str | Iterable[str], layers: int) -> list[tuple[str, ...]]:
    """The forms of each layer, for one name or one for each.

    Raises:
        ValueError: a list of another length.
    """
    if isinstance(attention, str):
        return [tuple(attention.split("+"))] * layers
    each = [tuple(name.split("+")) for name in attention]
    if len(each) != layers:
        raise ValueError(
            f"{field} lists {len(each)} layers, and there are {layers}; give one entry for each, "
            "or one name for all"
        )
    return each
