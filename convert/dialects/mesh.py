"""Mesh TensorFlow's later name for the normalisation of a T5's layers, as in mT5."""

from convert.dialects.base import Dialect, Rule

STACK = r"(?P<stack>encoder|decoder)"

DIALECTS = (
    Dialect(
        "mesh_rms_norm",
        "Mesh TensorFlow's layers with rms_norm",
        "encoder/block_000/layer_000/Synthesizer/o",
        (
            Rule(
                rf"{STACK}/block_(?P<b>\d+)/layer_(?P<l>\d+)/rms_norm/scale",
                "{stack}/block_{b}/layer_{l}/layer_norm/scale",
            ),
            Rule(rf"{STACK}/rms_norm/scale", "{stack}/final_layer_norm/scale"),
        ),
    ),
)
