"""Load what an export wrote in real bert4keras and TensorFlow; runs where those are.

python old_stack.py JOBS.json: a list of {folder, reference, outputs, options}, and {heads} as a
fixture records them. Prints one line of JSON a job: the largest difference of each output, as a
share of what is allowed, or an error.
"""
# ruff: noqa: E402, TID251

import json
import os
import sys
import traceback

os.environ |= {"TF_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}

import numpy as np
import tensorflow as tf

# bert4keras puts tf.keras in the place of keras, where tf.keras, which is lazy, then finds itself.
assert tf.keras.layers

from bert4keras import layers
from bert4keras.backend import K, keras
from bert4keras.layers import Add, Dropout, GatedAttentionUnit, LayerNormalization
from bert4keras.models import RoFormerV2, build_transformer_model

INPUTS = ("encoder_token_ids", "decoder_token_ids", "token_ids", "segment_ids", "position_ids")


class GAUAlpha(RoFormerV2):
    """Gated units instead of attention and feed-forward; a user's class on bert4keras's layer."""

    def apply_main_layers(self, inputs, index):
        name = f"Transformer-{index}-GatedAttentionUnit"
        x = self.apply(
            inputs=[inputs, self.compute_position_bias(inputs)],
            layer=GatedAttentionUnit,
            arguments={"a_bias": None, "p_bias": "rotary"},
            units=self.intermediate_size,
            key_size=self.attention_key_size,
            use_bias=False,
            normalization="softmax_plus",
            name=name,
        )
        x = self.apply(inputs=x, layer=Dropout, rate=self.dropout_rate, name=f"{name}-Dropout")
        x = self.apply(inputs=[inputs, x], layer=Add, name=f"{name}-Add")
        plain = {"zero_mean": False, "scale": False, "offset": False}
        return self.apply(inputs=x, layer=LayerNormalization, name=f"{name}-Norm", **plain)

    def variable_mapping(self):
        tables = {"Token": "word_embeddings", "Segment": "token_type_embeddings"}
        mapping = {f"Embedding-{key}": [f"bert/embeddings/{name}"] for key, name in tables.items()}
        weights = (
            "i_dense/kernel",
            "q_scaleoffset/gamma",
            "k_scaleoffset/gamma",
            "o_dense/kernel",
        )
        for i in range(self.num_hidden_layers):
            scope = f"GAU_alpha/encoder/layer_{i}/gau"
            layer = f"Transformer-{i}-GatedAttentionUnit"
            mapping[layer] = [f"{scope}/{name}" for name in weights]
        return mapping


def with_heads(model, heads):
    """The layers that a recipe puts behind a backbone; what each reads stands in the record."""
    emissions, outputs = None, []
    for head in heads:
        kind = getattr(layers, head["class"], None) or getattr(keras.layers, head["class"])
        source = head["source"]
        values = emissions if source == "emissions" else model.output
        if "first token" in source:
            values = keras.layers.Lambda(lambda x: x[:, 0])(values)
        elif "mean" in source:
            values = keras.layers.GlobalAveragePooling1D()(values)
        values = kind(**head["config"])(values)
        if head["role"] == "emissions":
            emissions = values
        else:
            outputs.append(values)
    return keras.models.Model(model.inputs, outputs)


def build(job, reference):
    options = dict(job["options"])
    options["model"] = {"gau_alpha": GAUAlpha}.get(options["model"], options["model"])
    if "in_condition" in reference:
        condition = keras.layers.Input(reference["in_condition"].shape[1:], name="Condition")
        options |= {"layer_norm_cond": condition, "additional_input_layers": [condition]}
    config, prefix, weights = (
        os.path.join(job["folder"], name)
        for name in ("bert_config.json", "bert_model.ckpt", "model.weights")
    )
    if os.path.exists(weights):
        model = build_transformer_model(config, **options)
        model = with_heads(model, job["heads"]) if "heads" in job else model
        model.load_weights(weights)
        return model
    reader = tf.train.load_checkpoint(prefix)
    for name, shape in tf.train.list_variables(prefix):
        assert list(reader.get_tensor(name).shape) == shape  # TensorFlow checks its checksum
    return build_transformer_model(config, prefix, **options)


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def compare(job):
    reference = np.load(job["reference"])
    model = build(job, reference)
    names = [f"in_{name}" for name in (*INPUTS, "condition") if f"in_{name}" in reference]
    given = [tf.constant(reference[name]) for name in names][: len(model.inputs)]
    found = model(given if len(given) > 1 else given[0], training=False)
    arrays = found if isinstance(found, list) else [found]
    result = {}
    for name, array in zip(job["outputs"], arrays, strict=True):
        bare = name.removeprefix("softmax(").removesuffix(")")
        wanted = reference[f"out_{bare}"]
        wanted = wanted if bare == name else softmax(wanted)
        assert array.shape == wanted.shape, (name, array.shape, wanted.shape)
        found = array.numpy()
        if "heads" in job:  # hidden positions mean nothing, hidden scores are -1e12 or -inf
            seen = reference["mask"].astype(bool)
            if wanted.ndim > 2 and wanted.shape[:2] == seen.shape:
                found, wanted = found[seen], wanted[seen]
            assert ((found < -1e11) == np.isinf(wanted)).all(), name
            found, wanted = (np.where(np.isinf(wanted), 0, one) for one in (found, wanted))
        allowed = 1e-4 * max(1.0, float(np.abs(wanted).max()))
        result[name] = float(np.abs(found - wanted).max()) / allowed
    return result


def main(path):
    with open(path, encoding="utf-8") as file:
        jobs = json.load(file)
    for job in jobs:
        K.clear_session()
        try:
            line = {"differences": compare(job)}
        except Exception:
            line = {"error": traceback.format_exc()}
        print(json.dumps({"folder": job["folder"], **line}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
