"""The smallest useful configs of every architecture; a new architecture is one row here.

Each variant turns on parts that no other variant does. The first is what `tiny_config` gives.
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
LOGISTIC = {"likelihood": "discretized_logistic", "scale": "learned"}

TINY: dict[str, dict[str, dict[str, Any]]] = {
    "ae": {
        "convolutional": CONVOLUTIONAL,
        "dense": DENSE | COLOUR | SHARED,
        "bernoulli": DENSE | BERNOULLI,
        "logistic": CONVOLUTIONAL | COLOUR | LOGISTIC,
    },
    "vae": {
        "convolutional": CONVOLUTIONAL | BERNOULLI,
        "dense": DENSE | COLOUR | SHARED | {"beta": 2.0, "free_bits": 0.1},
        "logistic": DENSE | LOGISTIC | {"kl_warmup_steps": 10},
        "binomial": CONVOLUTIONAL | BINOMIAL,
    },
    "eae": {
        "convolutional": CONVOLUTIONAL,
        "dense": DENSE | COLOUR | SHARED | {"num_neighbors": 2},
        "ablation": DENSE | LOGISTIC | {"entropy_weight": 0.0},
    },
    "infomax": {
        "strided": INFOMAX,
        "pooled": INFOMAX
        | COLOUR
        | {"network": "pooled", "score": "concatenated", "negatives": "derangement"}
        | {"alpha": 0.5, "gamma": 0.01, "estimator": "jsd"},
        "global": INFOMAX | {"alpha": 1.0, "beta": 0.0, "global_tap": "features"},
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
}
