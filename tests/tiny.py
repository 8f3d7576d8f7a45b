"""The smallest useful configs of every architecture; a new architecture is one row here.

Each variant turns on parts that no other variant does. The first is what `tiny_config` gives.
Text models read ids below 30; their variants are those of the model that the catalog's row names.
"""

from typing import Any

CODE = {"latent_size": 4, "num_mixture_components": 2}
CONVOLUTIONAL = CODE | {"image_size": 16, "width_multiplier": 0.03125}
DENSE = CODE | {"network": "dense", "image_size": 5, "hidden_sizes": [12]}
COLOUR = {"num_channels": 3}
BERNOULLI = {"likelihood": "bernoulli"}
SHARED = {"scale": "shared"}
BINOMIAL = {"likelihood": "beta_binomial"}
INFOMAX = {
    "image_size": 16,
    "num_channels": 1,
    "latent_size": 4,
    "width_multiplier": 0.0625,
    "feature_size": 6,
    "score_size": 8,
}
# Energies: few layers, and few steps of the chains.
CHAINS = {"hold_steps": 1, "anneal_steps": 2, "cool_steps": 1, "max_temperature": 10.0}
ENERGY = CHAINS | {"hidden_size": 6, "num_hidden_layers": 2}
VECTORS = {"input_shape": [2], "start_mean": 0.0, "start_scale": 2.0}
GENERATING = {"generator_hidden_size": 5, "generator_num_hidden_layers": 2, "latent_size": 3}
CODES = {"latent_size": 3, "num_codes": 6, "width_multiplier": 0.02, "image_size": 8} | {
    "num_residual_blocks": 1,
    "prior_hidden_size": 6,
    "prior_num_layers": 2,
    "prior_num_heads": 3,
}
LOGISTIC = {"likelihood": "discretized_logistic", "scale": "learned"}

TEXT = {
    "vocab_size": 30,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
}
WITHOUT_POOLER = TEXT | {"pooler": False}  # which a head for tokens does not read
NARROW = {"embedding_size": 8}  # embeddings, mapped to the hidden size
T5 = {
    "vocab_size": 30,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 20,
    "num_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "decoder_start_token_id": 0,
}
GATED_T5 = {"feed_forward_proj": "gated-gelu"}


def graph(shapes: list[list[int]], *steps: tuple[Any, ...], outputs: list[int]) -> dict[str, Any]:
    """A graph of layers whose tensors are numbered as they are made, the inputs first.

    Args:
        shapes: of the inputs, behind the batch.
        steps: name of the layer, numbers of what it reads, its record; where it makes more than
            one tensor or reads a mask, how many and the number of the mask.
        outputs: numbers of what comes out.
    """
    layers: dict[str, Any] = {}
    nodes, made = [], len(shapes)
    for name, read, record, *more in steps:
        layers.setdefault(name, {"name": name, **record})
        count, mask = more or (1, None)
        node = {"layer": name, "inputs": read, "outputs": list(range(made, made + count))}
        nodes.append(node | ({} if mask is None else {"mask": mask}))
        made += count
    inputs = [
        {"name": f"input_{number}", "shape": [None, *shape], "tensor": number}
        for number, shape in enumerate(shapes)
    ]
    return {"layers": layers, "nodes": nodes, "inputs": inputs, "outputs": outputs}


def weighing(kind: str, weights: dict[str, list[int]], **options: Any) -> dict[str, Any]:
    """The record of a layer."""
    return {"kind": kind, **options, "weights": weights}


def dense(inputs: int, outputs: int, activation: str = "tanh") -> dict[str, Any]:
    """The record of a dense layer."""
    weights = {"weight": [outputs, inputs], "bias": [outputs]}
    return weighing("dense", weights, activation={"name": activation})


ENCODER = [("hidden", [0], dense(25, 8)), ("mean", [1], dense(8, 4, "linear"))]
DECODER = [("hidden", [0], dense(4, 8)), ("pixels", [1], dense(8, 25, "linear"))]
#: Networks of autoencoders.
AS_GRAPHS = CODE | {
    "network": "layers",
    "image_size": 5,
    "encoder_layers": graph([[25]], *ENCODER, outputs=[2]),
    "decoder_layers": graph([[4]], *DECODER, outputs=[2]),
}
SPREAD = ("spread", [1], dense(8, 4, "linear"))
TWO_HEADS = {"encoder_layers": graph([[25]], *ENCODER, SPREAD, outputs=[2, 3])}

WINDOW = {
    "strides": [2, 2], "dilation_rate": [1, 1], "padding": "same", "channels_first": False,
    "activation": {"name": "elu", "alpha": 1.0}, "output_padding": None,
}  # fmt: skip
NORM = {"scale": [4], "offset": [4]}
STATISTICS = {"statistics": {"mean": [4], "variance": [4]}}
GATES = {
    "activation": {"name": "tanh"}, "recurrent_activation": {"name": "sigmoid"},
    "go_backwards": False, "return_state": True, "return_sequences": True,
}  # fmt: skip
ATTENTION = {
    "query_kernel": [5, 2, 3], "key_kernel": [5, 2, 3], "value_kernel": [5, 2, 3],
    "output_kernel": [2, 3, 5], "output_bias": [5],
}  # fmt: skip
#: Graphs as `genae convert` makes them of Keras models.
LAYERS: dict[str, dict[str, Any]] = {
    "dense": graph(
        [[5]],
        ("hidden", [0], dense(5, 6)),
        ("norm", [1], weighing("layer_norm", {"scale": [6]}, axis=[-1], epsilon=1e-3,
                               rms_scaling=False)),
        ("slopes", [2], weighing("prelu", {"slope": [6]})),
        ("scores", [3], dense(6, 3, "linear")),
        outputs=[4],
    ),
    "convolutional": graph(
        [[6, 6, 2]],
        ("conv", [0], weighing("conv", {"weight": [4, 2, 3, 3], "bias": [4]}, **WINDOW)),
        ("norm", [1], weighing("batch_norm", NORM, axis=-1, epsilon=1e-3, momentum=0.99)
         | STATISTICS),
        ("depthwise", [2], weighing("depthwise_conv", {"weight": [4, 1, 3, 3]}, **WINDOW)),
        ("up", [3], weighing("conv_transpose", {"weight": [4, 3, 3, 3], "bias": [3]}, **WINDOW)),
        outputs=[4],
    ),
    "recurrent": graph(
        [[7]],
        ("mask", [0], {"kind": "mask_of_ids"}),
        ("words", [0], weighing("embedding", {"weight": [5, 3]})),
        ("lstm", [2], weighing("lstm", {"kernel": [3, 16], "recurrent_kernel": [4, 16],
                                        "bias": [16]}, **GATES), 3, 1),
        ("gru", [3], weighing("gru", {"kernel": [4, 9], "recurrent_kernel": [3, 9],
                                      "bias": [2, 9]}, reset_after=True, **GATES), 2, 1),
        outputs=[6, 5],
    ),
    "several": graph(
        [[4, 5], [4, 5]],
        ("shared", [0], dense(5, 5)),
        ("shared", [1], dense(5, 5)),
        ("attention", [2, 3], weighing("multi_head_attention", ATTENTION)),
        ("sum", [4, 2], {"kind": "add"}),
        ("mean", [5], {"kind": "global_pool", "mode": "average", "keepdims": False,
                       "channels_first": False}),
        outputs=[6, 5],
    ),
    "nested": graph(
        [[6]],
        ("encoder_mean", [0], dense(6, 2, "linear")),
        ("decoder_hidden", [1], dense(2, 4)),
        ("decoder_image", [2], dense(4, 6, "sigmoid")),
        outputs=[3],
    )
    | {
        "parts": {
            "encoder": {"inputs": [0], "outputs": [1]},
            "decoder": {"inputs": [1], "outputs": [3]},
        }
    },
}  # fmt: skip

#: The stages of an encoder: local features, the last convolution, features, mean, log-variance.
STAGES = INFOMAX | {
    "network": "layers",
    "image_size": 6,
    "encoder_layers": graph(
        [[6, 6, 1]],
        ("local", [0], weighing("conv", {"weight": [4, 1, 3, 3], "bias": [4]}, **WINDOW)),
        ("norm", [1], weighing("batch_norm", NORM, axis=3, epsilon=1e-3) | STATISTICS),
        ("conv", [2], weighing("conv", {"weight": [5, 4, 3, 3], "bias": [5]}, **WINDOW)),
        ("flat", [3], {"kind": "flatten", "channels_first": False}),
        ("mean", [4], dense(20, 4, "linear")),
        ("spread", [4], dense(20, 4, "linear")),
        outputs=[2, 3, 4, 5, 6],
    ),
}

#: Grids of 4 x 4 vectors of 3 numbers from images of 8 x 8.
GRIDS = CODES | {
    "network": "layers",
    "grid_size": 4,
    "pixel_range": [-1.0, 1.0],
    "output_activation": "tanh",
    "encoder_layers": graph(
        [[8, 8, 1]],
        ("conv", [0], weighing("conv", {"weight": [3, 1, 3, 3], "bias": [3]}, **WINDOW)),
        outputs=[1],
    ),
    "decoder_layers": graph(
        [[4, 4, 3]],
        ("flat", [0], {"kind": "flatten", "channels_first": False}),
        ("pixels", [1], dense(48, 64, "linear")),
        outputs=[2],
    ),
}

TINY: dict[str, dict[str, dict[str, Any]]] = {
    "ae": {
        "convolutional": CONVOLUTIONAL,
        "dense": DENSE | COLOUR | SHARED,
        "bernoulli": DENSE | BERNOULLI,
        "logistic": CONVOLUTIONAL | COLOUR | LOGISTIC,
        "layers": AS_GRAPHS | SHARED | {"pixel_range": [-1.0, 1.0], "output_activation": "tanh"},
        "linear-layers": AS_GRAPHS | {"pixel_range": [-0.5, 0.5], "output_activation": "linear"},
    },
    "vae": {
        "convolutional": CONVOLUTIONAL | BERNOULLI,
        "dense": DENSE | COLOUR | SHARED | {"beta": 2.0, "free_bits": 0.1},
        "logistic": DENSE | LOGISTIC | {"kl_warmup_steps": 10},
        "binomial": CONVOLUTIONAL | BINOMIAL,
        "layers": AS_GRAPHS | TWO_HEADS | BERNOULLI,
        "sphere": DENSE | BERNOULLI | {"posterior": "von_mises_fisher", "concentration": 10.0},
        "choices": CONVOLUTIONAL | {"posterior": "gumbel_softmax", "num_choices": 2},
        "class-means": DENSE
        | {"prior": "class_means", "num_labels": 3, "posterior_scale": "log_standard_deviation"},
        "clusters": CONVOLUTIONAL
        | {"prior": "clusters", "num_clusters": 3, "cluster_hidden_size": 5},
    },
    "eae": {
        "convolutional": CONVOLUTIONAL,
        "dense": DENSE | COLOUR | SHARED | {"num_neighbors": 2},
        "layers": AS_GRAPHS,
        "ablation": DENSE | LOGISTIC | {"entropy_weight": 0.0},
    },
    "infomax": {
        "strided": INFOMAX,
        "pooled": INFOMAX
        | COLOUR
        | {"network": "pooled", "score": "concatenated", "negatives": "derangement"}
        | {"alpha": 0.5, "gamma": 0.01, "estimator": "jsd"},
        "global": INFOMAX | {"alpha": 1.0, "beta": 0.0, "global_tap": "features"},
        "layers": STAGES | {"pixel_range": [-0.5, 0.5], "alpha": 0.5, "gamma": 0.01},
        "everywhere": INFOMAX | {"negatives": "all_locations", "num_locations": 3},
        "bound": INFOMAX
        | {"estimator": "donsker_varadhan", "score": "concatenated", "alpha": 1.0, "gamma": 0.1}
        | {"num_locations": 3},
    },
    "iwae": {
        "one-layer": DENSE | BERNOULLI | {"importance_samples": 3},
        "two-layer": DENSE
        | BERNOULLI
        | {"latent_size": 5, "lower_latent_sizes": [3], "upper_hidden_sizes": [6]},
        "plain": DENSE
        | COLOUR
        | SHARED
        | {"lower_latent_sizes": [2, 1], "upper_hidden_sizes": [], "gradient": "plain"},
        "convolutional": CONVOLUTIONAL | LOGISTIC | {"importance_samples": 1},
    },
    "vq_vae": {
        "averages": CODES,
        "gradient": CODES | COLOUR | SHARED | {"codebook": "gradient"},
        "binary": CODES | BERNOULLI | {"restart_threshold": 0.0},
        "layers": GRIDS,
    },
    "classifier": {
        "convolutional": {
            "image_size": 16,
            "width_multiplier": 0.03125,
            "feature_size": 6,
            "num_labels": 3,
        },
        "colour": COLOUR
        | {"image_size": 8, "width_multiplier": 0.03125, "feature_size": 4, "num_labels": 2},
    },
    "dde": {
        "dense-connected": ENERGY
        | GENERATING
        | {"image_size": 5, "generator": "dense_connected", "sigma": 0.3},
        "dense": ENERGY | COLOUR | {"image_size": 5, "network": "dense", "activation": "tanh"},
        "parabola": ENERGY
        | GENERATING
        | {"image_size": 5, "network": "dense", "generator": "dense_connected"}
        | {"parabola": True, "initial_sigma": 2.0, "sigma_steps": 10},
        "convolutional": ENERGY
        | GENERATING
        | {"image_size": 8, "network": "convolutional", "generator": "convolutional"}
        | {"activation": "silu", "initial_sigma": 0.8, "sigma_steps": 10},
        "vectors": ENERGY
        | VECTORS
        | GENERATING
        | {"network": "dense", "generator": "residual", "latent_size": 2, "sigma": 0.2},
    },
    "mdsm": {
        "residual": CHAINS | {"image_size": 8, "hidden_size": 2},
        "colour": CHAINS
        | COLOUR
        | {"image_size": 8, "hidden_size": 2, "blocks_per_stage": 3, "spacing": "linear"},
        "vectors": ENERGY | VECTORS | {"network": "dense", "max_sigma": 1.0},
    },
    # transformers' own classes.
    "bert": {"plain": TEXT},
    "albert": {"groups": TEXT | NARROW | {"num_hidden_groups": 2}, "shared": TEXT | NARROW},
    "roformer": {"plain": TEXT, "values": TEXT | NARROW | {"rotary_value": True}},
    "electra": {"plain": TEXT | NARROW},
    "fnet": {"plain": {n: v for n, v in TEXT.items() if n != "num_attention_heads"}},
    "gpt2": {
        "plain": {"vocab_size": 30, "n_embd": 12, "n_layer": 2, "n_head": 3, "n_positions": 16}
        | {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    },
    "t5": {"plain": T5, "gated": T5 | GATED_T5},
    "mt5": {"gated": T5 | GATED_T5},
    # Ours.
    "genae_bert": {
        "plain": WITHOUT_POOLER,
        "options": WITHOUT_POOLER
        | {"attention_head_size": 5, "attention_key_size": 3, "embedding_size": 7}
        | {"hierarchical_position": 0.4, "residual_attention_scores": True},
        "prefix": WITHOUT_POOLER | {"attention_mask_kind": "prefix"},
    },
    "genae_albert": {"shared": WITHOUT_POOLER | NARROW | {"num_hidden_groups": 1}},
    "genae_nezha": {"relative": WITHOUT_POOLER | {"max_relative_position": 3}},
    "genae_roformer": {"rotary": WITHOUT_POOLER},
    "genae_roformer_v2": {"plain": TEXT},
    "genae_gau_alpha": {"gated": TEXT | {"num_attention_heads": 1, "attention_key_size": 6}},
    "genae_electra": {"narrow": TEXT | NARROW},
    "genae_gpt": {"segments": TEXT},
    "genae_gpt2": {"plain": TEXT},
    "genae_gpt2_ml": {"plain": TEXT},
    "genae_t5": {
        "plain": T5 | {"cross_position_bias": False},
        "tied": T5,
        "gated": T5 | {"hidden_act": "gelu", "is_gated_act": True, "tie_word_embeddings": False},
    },
    "synthesizer": {
        "mixed": TEXT | {"attention": "random+dot_product", "mixture": "softmax"},
        "layers": TEXT
        | {"attention": ["dense+factorized_random", "factorized_dense"], "norm": "pre"}
        | {"mixture": "sigmoid", "factors": 3},
        "fixed": TEXT | {"attention": ["fixed_random", "mean"], "random_range": 2.0},
        "t5": TEXT
        | {"attention": "random+dot_product", "mixture": "sum", "norm": "pre", "rms_norm": True}
        | {"bias": False, "position_embeddings": False, "scale_attn_weights": False},
    },
    "layers": LAYERS,
}

#: First parts of the names of parameters that the loss of a first step does not reach: a
#: generator learns at every tenth step; of transformers' FNet no masked token reads the pooler.
NOT_AT_FIRST: dict[str, tuple[str, ...]] = {"dde": ("generator.",), "fnet": ("fnet.pooler.",)}

#: Names of tensors that another library leaves unset where a file lacks them.
LEFT_UNSET: dict[str, tuple[str, ...]] = {"fnet": ("cls.predictions.bias",)}

#: Models that torch cannot compute in half precision: it has no Fourier transform of bfloat16.
NOT_IN_HALF = {"fnet"}
