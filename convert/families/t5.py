"""T5, t5.1.1 and mT5 as Google and bert4keras store them: weight tables and the two targets.

Google's models become transformers' T5 or MT5. What bert4keras computes of the same weights is
something else (a bias in cross attention, every head scaled, gelu in its erf form); with
`semantics=bert4keras` that becomes `genae_t5`. Our names are transformers' for both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from convert.families.activations import GELUS, OWN_ACTIVATIONS, is_plain_gelu
from convert.families.base import COMMON, Family, Settings
from convert.weights.ops import KEEP, TRANSPOSE
from convert.weights.rows import Row
from zoo.errors import UsageError

BUCKETS, FURTHEST = 32, 128  # bert4keras reads neither from the configuration

#: What bert4keras's builder takes, and `semantics`: whose computation the result is to do.
OPTIONS: dict[str, Any] = COMMON | {
    "application": "encoder",
    "semantics": "google",
    "cross_position_bias": None,
    "stack": None,
}

#: The option `stack` by the ending of a `model=` string.
STACKS = {"": "both", "_encoder": "encoder", "_decoder": "decoder"}

#: Maps of an attention layer in Keras's order; each target's (outputs, inputs).
MAPS = {
    "q": ("keys", "hidden"),
    "k": ("keys", "hidden"),
    "v": ("values", "hidden"),
    "o": ("hidden", "values"),
}

#: Sublayers of a block in order: transformers' name, Keras's.
SUBLAYERS = {
    "encoder": (("SelfAttention", "MultiHeadSelfAttention"), ("DenseReluDense", "FeedForward")),
    "decoder": (
        ("SelfAttention", "MultiHeadSelfAttention"),
        ("EncDecAttention", "MultiHeadCrossAttention"),
        ("DenseReluDense", "FeedForward"),
    ),
}


@dataclass(frozen=True)
class Version:
    """What sets the versions apart.

    Attributes:
        title: in words.
        names: `model=` strings, without the endings of `STACKS`.
        norm: what TensorFlow calls the normalisation of a sublayer.
        final_norm: and the last one of a stack.
        gated: the feed-forward part is gated, and the head has a matrix of its own.
        model_type: of transformers.
        paper: where it was described.
    """

    title: str
    names: tuple[str, ...]
    norm: str
    final_norm: str
    gated: bool
    model_type: str
    paper: str

    @property
    def wide(self) -> tuple[str, ...]:
        """Maps into the feed-forward part."""
        return ("wi_0", "wi_1") if self.gated else ("wi",)


VERSIONS = (
    Version(
        "T5", ("t5.1.0", "t5"), "layer_norm", "final_layer_norm", False, "t5", "arXiv:1910.10683"
    ),
    Version(
        "T5 1.1", ("t5.1.1",), "layer_norm", "final_layer_norm", True, "t5", "arXiv:2002.05202"
    ),
    Version("mT5", ("mt5.1.1",), "rms_norm", "rms_norm", True, "mt5", "arXiv:2010.11934"),
)


def norm(target: str, source: str, layer: str, stack: str) -> Row:
    """A normalisation: a scale alone."""
    return Row(f"{target}.weight", ("hidden",), f"{source}/scale", layer=layer, part=stack)


def sublayer(version: Version, stack: str, place: int, name: str, keras: str) -> Iterator[Row]:
    """The rows of one sublayer of every block."""
    target = f"{stack}.block.{{i}}.layer.{place}"
    source = f"{stack}/block_{{i:03d}}/layer_{place:03d}"
    layer = f"{stack.title()}-Transformer-{{i}}-{keras}"
    yield norm(f"{target}.layer_norm", f"{source}/{version.norm}", f"{layer}-Norm", stack)
    kernel = ""
    maps = MAPS
    if name == "DenseReluDense":
        kernel = "/kernel"
        maps = dict.fromkeys(version.wide, ("intermediate", "hidden"))
        maps |= {"wo": ("hidden", "intermediate")}
    for slot, (word, shape) in enumerate(maps.items()):
        yield Row(
            f"{target}.{name}.{word}.weight",
            shape,
            f"{source}/{name}/{word}{kernel}",
            TRANSPOSE,
            layer,
            slot,
            part=stack,
        )


def rows_of(version: Version) -> tuple[Row, ...]:
    """The weight table of a version."""
    rows = [
        Row(
            "shared.weight",
            ("vocab", "hidden"),
            "shared/embedding",
            layer="Embedding-Token",
        )
    ]
    for stack, sublayers in SUBLAYERS.items():
        title = stack.title()
        rows.append(
            Row(
                f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                (BUCKETS, "heads"),
                f"{stack}/block_000/layer_000/SelfAttention/relative_attention_bias",
                TRANSPOSE,  # Keras stores (buckets, heads)
                f"{title}-Embedding-Relative-Position",
                keras_op=KEEP,
                part=stack,
            )
        )
        for place, names in enumerate(sublayers):
            rows += sublayer(version, stack, place, *names)
        final = f"{stack}/{version.final_norm}"
        rows.append(norm(f"{stack}.final_layer_norm", final, f"{title}-Output-Norm", stack))
    if version.gated:
        rows.append(
            Row(
                "lm_head.weight",
                ("vocab", "hidden"),
                "decoder/logits/kernel",
                TRANSPOSE,
                "Decoder-Output-LM",
                part="lm",
            )
        )
    return tuple(rows)


def telltales_of(version: Version) -> tuple[tuple[str, ...], ...]:
    """Names that only this version has; Keras's are the same in t5.1.1 and mT5."""
    found: list[tuple[str, ...]] = []
    for stack, last in (("encoder", 1), ("decoder", 2)):
        block = f"{stack}/block_000"
        found.append(
            (
                f"{block}/layer_{last:03d}/DenseReluDense/{version.wide[0]}/kernel",
                f"{block}/layer_000/{version.norm}/scale",
                f"!{block}/layer_000/Synthesizer/o",
            )
        )
        layer = f"{stack.title()}-Transformer-0-FeedForward"
        bias = f"{stack.title()}-Embedding-Relative-Position#0"
        found.append((bias, f"{layer}#1", f"{'' if version.gated else '!'}{layer}#2"))
    return tuple(found)


def act_of(version: Version, settings: Settings) -> str:
    """The activation by bert4keras's name; gated ones come as a list with "linear".

    Raises:
        UsageError: the configuration's belongs to the other kind of feed-forward part.
    """
    given = settings.config.get("hidden_act", ["gelu", "linear"] if version.gated else "relu")
    words = list(given) if isinstance(given, list | tuple) else [given]
    wanted = 2 if version.gated else 1
    if len(words) != wanted or words[1:] not in ([], ["linear"]):
        form = '["gelu", "linear"]' if version.gated else '"relu"'
        raise UsageError(
            f"hidden_act is {given!r}: {version.names[0]} needs one such as {form}. Is the "
            "family right?"
        )
    return str(words[0])


def sizes_of(settings: Settings) -> dict[str, Any]:
    """The fields that both targets call the same.

    Raises:
        UsageError: key and value heads differ, which no T5 but bert4keras's allows.
    """
    given, sizes = settings.config, settings.sizes
    heads = given["num_attention_heads"]
    if sizes["keys"] != sizes["values"]:
        raise UsageError(
            f"attention_key_size {sizes['keys'] // heads} and attention_head_size "
            f"{sizes['values'] // heads}: T5 has one size for both"
        )
    return {
        "vocab_size": sizes["vocab"],
        "d_model": sizes["hidden"],
        "d_kv": sizes["values"] // heads,
        "d_ff": sizes["intermediate"],
        "num_layers": given["num_hidden_layers"],
        "num_decoder_layers": given["num_hidden_layers"],
        "num_heads": heads,
        "relative_attention_num_buckets": BUCKETS,
        "relative_attention_max_distance": FURTHEST,
        "layer_norm_epsilon": 1e-6,
        "dropout_rate": given.get("hidden_dropout_prob", 0.1),
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


#: What the report says of the two ways to compute a T5.
TRUTHS = {
    "google": "computed as Google's: no bias in cross attention, only a tied head scaled, gated "
    "gelu in the tanh form; bert4keras computes otherwise (--option semantics=bert4keras)",
    "bert4keras": "computed as bert4keras's: the decoder's bias in cross attention unless "
    "cross_position_bias=False, every head scaled by hidden^-0.5, gelu as given (erf); Google's "
    "models have none of the three (--option semantics=google)",
}

#: (encoder, decoder, head) -> the end of the class's name.
CLASSES = {
    (True, True, True): "ForConditionalGeneration",
    (True, True, False): "Model",
    (True, False, False): "EncoderModel",
    (False, True, True): "DecoderForCausalLM",
}


def class_of(version: Version, settings: Settings) -> str:
    """The end of the class's name that has exactly what there is.

    Raises:
        UsageError: there is no such class.
    """
    encoder, decoder = (bool(settings.parts.get(stack)) for stack in SUBLAYERS)
    head = decoder and settings.options["with_lm"] is not False
    head = head and (settings.parts.get("lm", False) or not version.gated)
    if (encoder, decoder, head) not in CLASSES:
        raise UsageError(
            "a decoder alone and without its head has no class: leave out with_lm=False or "
            "head=none"
        )
    return CLASSES[encoder, decoder, head]


def config(version: Version, settings: Settings) -> dict[str, Any]:
    """The `config.json` of the result.

    Raises:
        UsageError: options or sizes contradict one another.
    """
    legacy = settings.options["semantics"] == "bert4keras"
    cross = settings.options["cross_position_bias"]
    if cross is not None and not legacy:
        raise UsageError(
            f"cross_position_bias={cross} is bert4keras's own: Google's models have no bias in "
            "cross attention; give semantics=bert4keras as well to have what bert4keras computes"
        )
    kind, act = class_of(version, settings), act_of(version, settings)
    settings.notes.append(TRUTHS[settings.options["semantics"]])
    sizes = sizes_of(settings) | {"tie_word_embeddings": not version.gated}
    if kind == "EncoderModel" or kind == "DecoderForCausalLM":
        sizes["is_encoder_decoder"] = False
    if legacy or kind == "DecoderForCausalLM":  # transformers has no decoder alone
        gelu = "gelu_tanh" if not legacy and version.gated and is_plain_gelu(act) else act
        return {
            "architectures": [f"GenaeT5{kind}"],
            "model_type": "genae_t5",
            **sizes,
            "cross_position_bias": legacy and cross is not False,
            "scale_output": legacy or not version.gated,
            "hidden_act": settings.activation(gelu),
            "is_gated_act": version.gated,
        }
    return {
        "architectures": [f"{version.model_type.replace('t5', 'T5').replace('m', 'M')}{kind}"],
        "model_type": version.model_type,
        **sizes,
        "feed_forward_proj": projection(version, settings, act),
    }


def projection(version: Version, settings: Settings, act: str) -> str:
    """The activation as transformers' T5 takes it: its "gated-gelu" is the tanh form.

    Raises:
        UsageError: transformers' T5 cannot say it.
    """
    function = settings.activation(act)
    if function in OWN_ACTIVATIONS:
        raise UsageError(
            f"hidden_act {act}: transformers' T5 has no such activation, or another of that name; "
            "give semantics=bert4keras"
        )
    if not version.gated:
        return function
    if function == GELUS[0] and not is_plain_gelu(act):
        raise UsageError(
            f"hidden_act {act} is the erf form: transformers' gated T5 has the tanh form alone; "
            "give semantics=bert4keras"
        )
    return "gated-gelu" if function in GELUS else f"gated-{function}"


def family_of(version: Version) -> Family:
    """A version as the engine takes it."""

    def make(settings: Settings) -> dict[str, Any]:
        return config(version, settings)

    first = version.names[0]
    return Family(
        name=first,
        title=version.title,
        telltales=telltales_of(version),
        rows=rows_of(version),
        config=make,
        aliases={
            f"{name}{ending}": {"stack": stack}
            for name in version.names
            for ending, stack in STACKS.items()
        },
        paper=version.paper,
        options=OPTIONS | {"with_lm": None if version.gated else True},
        behind={"Encoder-Output-Norm": "Decoder-Transformer-0-MultiHeadSelfAttention-Norm"},
        applications=("encoder",),
    )


FAMILIES = tuple(family_of(version) for version in VERSIONS)
