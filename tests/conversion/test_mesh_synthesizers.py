"""Synthesizers of Mesh TensorFlow: what it computes, the converted model computes."""

import numpy as np
import pytest
import torch

import convert
import zoo
from convert import families
from convert.weights.rows import expand
from tests.conversion import mesh_synthesizers as mesh
from zoo.errors import IntegrityError, UsageError

KINDS = [
    ("random", {}),
    ("random_plus", {"norm": "rms_norm"}),
    ("random_plus_alpha", {"tied": False}),
]


@pytest.mark.parametrize(
    ("mode", "kind"), KINDS, ids=[f"{mode}-{'-'.join(kind)}" for mode, kind in KINDS]
)
def test_the_converted_model_computes_what_the_original_does(mode, kind, tmp_path):
    tensors = mesh.arrays(mode, **kind)
    source = mesh.write(tmp_path / "in", tensors)
    report = convert.convert_checkpoint(source, tmp_path / "out")
    assert report.family == f"synthesizer_{mode}".removesuffix("_alpha")
    assert report.architecture == "SynthesizerForConditionalGeneration"
    model = zoo.from_pretrained(tmp_path / "out").double()
    for padding in (0, 3):
        ids, decoder_ids = mesh.texts(padding)
        with torch.no_grad():
            found = model(
                input_ids=torch.from_numpy(ids), decoder_input_ids=torch.from_numpy(decoder_ids)
            ).logits
        wanted = mesh.Model(tensors)(ids, decoder_ids)["lm_logits"]
        assert wanted.std() > 0.1
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6, atol=1e-6)


def test_rows_run_backwards_give_the_checkpoint_and_the_model_again(tmp_path):
    mode, kind = "random_plus_alpha", {"tied": False}
    source = mesh.write(tmp_path / "in", mesh.arrays(mode, **kind))
    convert.convert_checkpoint(source, tmp_path / "out")
    trained = zoo.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    own = trained.state_dict()
    parts = {"body": True, "alpha": True, "lm": True}
    rows = list(expand(families.find(f"synthesizer_{mode}").rows, parts, mesh.LAYERS))
    tensors = {row.source: row.op.invert(own[row.target].numpy()) for row in rows}
    assert {n: a.shape for n, a in tensors.items()} == mesh.shapes(mode, **kind)
    again = mesh.write(tmp_path / "back", {n: np.ascontiguousarray(a) for n, a in tensors.items()})
    convert.convert_checkpoint(again, tmp_path / "again")
    found = zoo.from_pretrained(tmp_path / "again").state_dict()
    assert found.keys() == own.keys()
    assert not [name for name in own if not torch.equal(own[name], found[name])]


S = "encoder/block_000/layer_000/Synthesizer"
#: Tensors of other models: what replaces what, and a word of the reason.
REFUSED = {
    "dense_minus": ("random", {f"{S}/R": f"{S}/pi/kernel"}, "a head's query"),
    "dense_plus_alpha": ("random_plus_alpha", {f"{S}/R": f"{S}/pi/kernel"}, "a head's query"),
    "factorized": ("random", {f"{S}/R": f"{S}/R1"}, "all queries have the same logits"),
    "gated": (
        "random_plus",
        {
            f"encoder/block_000/layer_001/DenseReluDense/{one}/kernel":
            f"encoder/block_000/layer_001/DenseReluDense/{other}/kernel"
            for one, other in (("wi", "wi_0"),)
        },
        "is gated",
    ),
    "positions": ("random", {"": "shared/positional_embedding"}, "a table of positions"),
    "relative": ("random_plus", {"": f"{S}/relative_attention_bias"}, "relative positions"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_computes_something_else_is_refused_with_the_reason(name, tmp_path):
    mode, changes, reason = REFUSED[name]
    tensors = mesh.arrays(mode)
    for old, new in changes.items():
        tensors[new] = tensors.pop(old) if old else np.zeros((3, 4), np.float32)
    source = mesh.write(tmp_path / "in", tensors)
    with pytest.raises(UsageError, match=reason) as caught:
        convert.convert_checkpoint(source, tmp_path / "out")
    assert str(caught.value).startswith("the checkpoint has ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_another_length_is_said_by_the_configuration(tmp_path):
    source = mesh.write(tmp_path / "in", mesh.arrays("random"))
    with pytest.raises(IntegrityError, match=r"R is \(16, 3, 16\).*asks for \(3, 512, 512\)"):
        convert.convert_checkpoint(
            source, tmp_path / "out", config=mesh.CONFIG | {"max_position_embeddings": 512}
        )


def test_there_is_no_way_back_to_bert4keras(root, tmp_path):
    folder = root / "cards/tiny-synthesizer-plus"
    for family in (None, "synthesizer_random_plus"):
        with pytest.raises(UsageError, match=r"no such model|cannot go back") as caught:
            convert.export_checkpoint(folder, tmp_path / "out", to="tf-checkpoint", family=family)
        assert "synthesizer_random" not in str(caught.value)
