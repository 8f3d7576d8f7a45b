"""Synthesizers as Mesh TensorFlow stores and computes them, in NumPy.

Names and shapes are those that its layers give their variables, with the names of axes: `d_model`,
`heads` with `d_kv` joined, `d_ff`, `vocab`, `length` and `memory_length`. No checkpoint was ever
published, so the numbers are random.

    python -m tests.conversion.mesh_synthesizers  # writes tests/fixtures/mesh again
"""

import json
from pathlib import Path

import numpy as np

from tests.conversion.bundles import write_bundle

PLACE = Path(__file__).resolve().parents[1] / "fixtures/mesh"
WIDTH, HEADS, D_KV, D_FF, VOCAB, LENGTH, LAYERS = 12, 3, 5, 20, 30, 16, 2
#: What a person gives: the sizes that gin's files had.
CONFIG = {
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "attention_head_size": D_KV,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "intermediate_size": D_FF,
    "max_position_embeddings": LENGTH,
    "hidden_act": "relu",
}
JOINED = HEADS * D_KV
R = {"R": (LENGTH, HEADS, LENGTH)}
MAPS = {name: (WIDTH, JOINED) for name in "qkv"} | {"o": (JOINED, WIDTH)}
MODES = {
    "random": {"kv": MAPS["v"], "o": MAPS["o"]} | R,
    "random_plus": MAPS | R,
    "random_plus_alpha": MAPS | R | {"alpha": (1,)},
}


def shapes(mode, norm="layer_norm", tied=True):
    """Every variable of a model: its name and shape."""
    found = {"shared/embedding": (VOCAB, WIDTH)}
    for stack in ("encoder", "decoder"):
        layers = [("Synthesizer", MODES[mode])]
        layers += [("EncDecAttention", MAPS)] * (stack == "decoder")
        layers += [("DenseReluDense", {"wi/kernel": (WIDTH, D_FF), "wo/kernel": (D_FF, WIDTH)})]
        for block in range(LAYERS):
            for number, (name, variables) in enumerate(layers):
                scope = f"{stack}/block_{block:03d}/layer_{number:03d}"
                found[f"{scope}/{norm}/scale"] = (WIDTH,)
                found |= {f"{scope}/{name}/{word}": shape for word, shape in variables.items()}
        final = "final_layer_norm" if norm == "layer_norm" else norm
        found[f"{stack}/{final}/scale"] = (WIDTH,)
    return found if tied else found | {"decoder/logits/kernel": (WIDTH, VOCAB)}


def arrays(mode, **kind):
    """Random values for them."""
    draw = np.random.default_rng(len(mode))
    return {
        name: (draw.normal(size=shape) * 0.5).astype(np.float32)
        for name, shape in shapes(mode, **kind).items()
    }


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


class Model:
    """What the original computes, in float64."""

    def __init__(self, tensors):
        self.tensors = {name: array.astype(np.float64) for name, array in tensors.items()}

    def norm(self, x, scope):
        (scale,) = (
            self.tensors[f"{scope}/{name}/scale"]
            for name in ("layer_norm", "rms_norm", "final_layer_norm")
            if f"{scope}/{name}/scale" in self.tensors
        )
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale

    def heads(self, x, name):
        return (x @ self.tensors[name]).reshape(*x.shape[:2], HEADS, D_KV)

    def mix(self, logits, values, visible, scope):
        weights = softmax(np.where(visible[:, None], logits, -1e9))
        joined = np.einsum("bhqm,bmhd->bqhd", weights, values)
        return joined.reshape(*joined.shape[:2], JOINED) @ self.tensors[f"{scope}/o"]

    def dots(self, x, memory, scope):
        """Not divided by anything: that is left to how fresh queries are drawn."""
        q, k = self.heads(x, f"{scope}/q"), self.heads(memory, f"{scope}/k")
        return np.einsum("bqhd,bmhd->bhqm", q, k)

    def synthesizer(self, x, visible, scope):
        length = x.shape[1]
        logits = self.tensors[f"{scope}/R"][:length, :, :length].transpose(1, 0, 2)[None]
        if f"{scope}/kv" in self.tensors:
            return self.mix(logits, self.heads(x, f"{scope}/kv"), visible, scope)
        dots = self.dots(x, x, scope)
        if f"{scope}/alpha" in self.tensors:
            alpha = 1 / (1 + np.exp(-self.tensors[f"{scope}/alpha"]))
            logits = (1 - alpha) * dots + alpha * logits
        else:
            logits = dots + logits
        return self.mix(logits, self.heads(x, f"{scope}/v"), visible, scope)

    def stack(self, stack, ids, visible, memory=None, seen=None):
        """The states behind each block, normalised ones last."""
        x = self.tensors["shared/embedding"][ids]
        states = []
        for block in range(LAYERS):
            first = f"{stack}/block_{block:03d}"
            layer = f"{first}/layer_000"
            x = x + self.synthesizer(self.norm(x, layer), visible, f"{layer}/Synthesizer")
            number = 1
            if memory is not None:
                layer, scope = f"{first}/layer_001", f"{first}/layer_001/EncDecAttention"
                logits = self.dots(self.norm(x, layer), memory, scope)
                x = x + self.mix(logits, self.heads(memory, f"{scope}/v"), seen, scope)
                number = 2
            layer = f"{first}/layer_{number:03d}"
            wide, narrow = (
                self.tensors[f"{layer}/DenseReluDense/{n}/kernel"] for n in ("wi", "wo")
            )
            x = x + np.maximum(self.norm(x, layer) @ wide, 0) @ narrow
            states.append(x)
        return [*states, self.norm(x, stack)]

    def __call__(self, ids, decoder_ids):
        """Outputs by the names of records; ids of 0 are padding."""
        batch, length = decoder_ids.shape
        keys = np.broadcast_to((ids != 0)[:, None], (batch, ids.shape[1], ids.shape[1]))
        encoded = self.stack("encoder", ids, keys)
        causal = np.broadcast_to(np.tri(length, dtype=bool), (batch, length, length))
        seen = np.broadcast_to((ids != 0)[:, None], (batch, length, ids.shape[1]))
        decoded = self.stack("decoder", decoder_ids, causal, encoded[-1], seen)
        head = self.tensors.get("decoder/logits/kernel")
        if head is None:
            head = self.tensors["shared/embedding"].T * WIDTH**-0.5
        return {
            "enc_layer_0": encoded[0],
            "encoder_output": encoded[-1],
            "dec_layer_0": decoded[0],
            "decoder_norm": decoded[-1],
            "lm_logits": decoded[-1] @ head,
        }


def texts(padding=0):
    """Ids of two sources, the second with padding at its end, and of what a decoder reads."""
    draw = np.random.default_rng(1)
    ids, decoder_ids = draw.integers(1, VOCAB, (2, 9)), draw.integers(1, VOCAB, (2, 7))
    ids[1, 9 - padding :] = 0
    return ids, decoder_ids


def write(folder, tensors):
    """A checkpoint with its configuration; its prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bert_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", "utf-8")
    return write_bundle(folder, tensors)


def main():
    """The fixtures that the cards are converted from."""
    for mode in ("random", "random_plus_alpha"):
        made = arrays(mode)
        write(PLACE / mode, made)
        ids, decoder_ids = texts()
        found = {f"out_{name}": array for name, array in Model(made)(ids, decoder_ids).items()}
        inputs = {"in_encoder_token_ids": ids, "in_decoder_token_ids": decoder_ids}
        np.savez(
            PLACE / mode / "reference.npz",
            **{name: array.astype(np.int32) for name, array in inputs.items()},
            **{name: array.astype(np.float32) for name, array in found.items()},
        )


if __name__ == "__main__":
    main()
