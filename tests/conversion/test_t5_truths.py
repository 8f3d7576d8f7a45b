"""Google's T5 and bert4keras's: each is proved by plain numpy, and neither loses a matrix.

The oracle below computes both from the checkpoint, in float64. That it computes bert4keras's as
bert4keras did is what the records say; what it changes for Google's are three switches.
"""

import json
import math
import shutil

import numpy as np
import pytest

import convert
from tests.conversion.records import LEGACY, record
from zoo.errors import UsageError

NAMES = [
    name
    for name in ("t5", "t5_cross_bias", "t5_long", "t5_v1_1", "t5_v1_1_gelu_tanh", "mt5")
    if (LEGACY / name).is_dir()
]
APART = [name for name in NAMES if "v1_1" in name or name == "mt5"]
TRUTHS = ("google", "bert4keras")
every_fixture = pytest.mark.parametrize("name", NAMES)
both_truths = pytest.mark.parametrize("truth", TRUTHS)

GELU = {
    "erf": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))),
    "tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


def reference(name):
    with np.load(LEGACY / name / "reference.npz") as archive:
        return dict(archive)


def softmax(scores):
    exact = np.exp(scores - scores.max(-1, keepdims=True))
    return exact / exact.sum(-1, keepdims=True)


class Oracle:
    """A fixture's checkpoint and what follows from it.

    Args:
        name: of the fixture.
        cross: the decoder's table is added in cross attention.
        scaled: the head's input is multiplied by hidden^-0.5.
        gelu: "erf" or "tanh", of the gated feed-forward part.
    """

    def __init__(self, name, *, cross, scaled, gelu):
        self.cross, self.scaled, self.gelu = cross, scaled, GELU[gelu]
        with convert.open_checkpoint(LEGACY / name / "bert_model.ckpt") as held:
            self.held = {
                key: tensor.numpy().astype(np.float64)
                for key, tensor in held.items()
                if "_slot_" not in key and key != "global_step"
            }
        self.norm = "rms_norm" if name == "mt5" else "layer_norm"
        self.final = "rms_norm" if name == "mt5" else "final_layer_norm"
        config = json.loads((LEGACY / name / "bert_config.json").read_text())
        self.heads, self.layers = config["num_attention_heads"], config["num_hidden_layers"]
        table = reference("t5")  # the bucket of each offset, as recorded
        self.buckets = {
            stack: dict(zip(table["bucket_offsets"].tolist(), table[key].tolist(), strict=True))
            for stack, key in (
                ("encoder", "bucket_bidirectional"),
                ("decoder", "bucket_unidirectional"),
            )
        }

    def normed(self, values, name):
        mean = np.mean(values**2, -1, keepdims=True)
        return values / np.sqrt(mean + 1e-6) * self.held[f"{name}/scale"]

    def bias(self, stack, queries, keys):
        name = f"{stack}/block_000/layer_000/SelfAttention/relative_attention_bias"
        offsets = np.arange(keys)[None] - np.arange(queries)[:, None]
        place = np.vectorize(self.buckets[stack].get)(offsets)
        return self.held[name][:, place]  # stored (heads, buckets)

    def attend(self, values, source, scope, bias):
        def split(word, array):
            mixed = array @ self.held[f"{scope}/{word}"]
            return mixed.reshape(*mixed.shape[:2], self.heads, -1).swapaxes(1, 2)

        query, key, value = split("q", values), split("k", source), split("v", source)
        joined = softmax(query @ key.swapaxes(-1, -2) + bias) @ value
        joined = joined.swapaxes(1, 2).reshape(*values.shape[:2], -1)
        return joined @ self.held[f"{scope}/o"]

    def feed(self, values, scope):
        kernel = {
            word: self.held.get(f"{scope}/{word}/kernel") for word in ("wi", "wi_0", "wi_1", "wo")
        }
        if kernel["wi"] is not None:
            wide = np.maximum(values @ kernel["wi"], 0)
        else:
            wide = self.gelu(values @ kernel["wi_0"]) * (values @ kernel["wi_1"])
        return wide @ kernel["wo"]

    def stack(self, stack, ids, bias, source=None, cross=None):
        values = self.held["shared/embedding"][ids]
        for layer in range(self.layers):
            for place in range(2 if source is None else 3):
                scope = f"{stack}/block_{layer:03d}/layer_{place:03d}"
                inner = self.normed(values, f"{scope}/{self.norm}")
                if place == 0:
                    change = self.attend(inner, inner, f"{scope}/SelfAttention", bias)
                elif place == 1 and source is not None:
                    change = self.attend(inner, source, f"{scope}/EncDecAttention", cross)
                else:
                    change = self.feed(inner, f"{scope}/DenseReluDense")
                values = values + change
        return self.normed(values, f"{stack}/{self.final}")

    def __call__(self, told):
        source, target = told["in_encoder_token_ids"], told["in_decoder_token_ids"]
        seen, own = (
            np.where(told[key], 0, -1e9)[:, None, None] for key in ("out_enc_mask", "out_dec_mask")
        )
        there, here = source.shape[1], target.shape[1]
        encoded = self.stack("encoder", source, self.bias("encoder", there, there) + seen)
        future = np.triu(np.full((here, here), -1e9), 1)
        cross = self.bias("decoder", here, there) if self.cross else 0
        decoded = self.stack(
            "decoder", target, self.bias("decoder", here, here) + own + future, encoded,
            cross + seen,
        )  # fmt: skip
        head = self.held.get("decoder/logits/kernel", self.held["shared/embedding"].T)
        factor = decoded.shape[-1] ** -0.5 if self.scaled else 1
        return {
            "encoder_output": encoded,
            "decoder_norm": decoded,
            "lm_logits": decoded * factor @ head,
        }


def oracle(name, truth):
    """By the definitions: three switches set the two truths apart."""
    fixture = record(name)
    if truth == "google":
        return Oracle(name, cross=False, scaled=name not in APART, gelu="tanh")
    cross = fixture["build_kwargs"].get("cross_position_bias", True)
    return Oracle(name, cross=cross, scaled=True, gelu=fixture["gelu"])


def options(name, truth):
    if truth == "google":
        return {}  # it is the default
    fixture = record(name)
    return fixture["build_kwargs"] | {"semantics": truth, "gelu": fixture["gelu"]}


def bring_over(name, out, truth, **more):
    """No family is told: the files say it."""
    source = LEGACY / name / "bert_model.ckpt"
    return convert.convert_checkpoint(source, out, options=options(name, truth), **more)


def loader(report):
    import transformers

    import zoo.models

    home = zoo.models if report.architecture.startswith("Genae") else transformers
    return getattr(home, report.architecture)


def run(model, told):
    import torch

    words = {
        "input_ids": "in_encoder_token_ids",
        "decoder_input_ids": "in_decoder_token_ids",
        "attention_mask": "out_enc_mask",
        "decoder_attention_mask": "out_dec_mask",
    }
    given = {word: torch.from_numpy(told[key]).long() for word, key in words.items()}
    with torch.no_grad():
        made = model(**given, output_hidden_states=True)
    return {
        "encoder_output": made.encoder_last_hidden_state.numpy(),
        "decoder_norm": made.decoder_hidden_states[-1].numpy(),
        "lm_logits": made.logits.numpy(),
    }


def distances(ours, theirs):
    """Largest differences, over the largest value or 1."""
    return {
        name: np.abs(ours[name] - theirs[name]).max() / max(1.0, np.abs(theirs[name]).max())
        for name in ("encoder_output", "decoder_norm", "lm_logits")
    }


@every_fixture
def test_the_oracle_computes_what_bert4keras_recorded(name):
    told = reference(name)
    found = distances(oracle(name, "bert4keras")(told), {k[4:]: v for k, v in told.items()})
    assert max(found.values()) < 1e-4, found


@every_fixture
@both_truths
def test_the_result_computes_its_truth_and_the_report_says_which(name, truth, tmp_path):
    report = bring_over(name, tmp_path / "out", truth)
    ours = truth == "bert4keras"
    stem = "GenaeT5" if ours else "MT5" if name == "mt5" else "T5"
    assert report.architecture == f"{stem}ForConditionalGeneration"
    notes = json.loads((tmp_path / "out/conversion.json").read_text("utf-8"))["notes"]
    (said,) = [note for note in notes if note.startswith("computed as")]
    owner, other = ("bert4keras's", "google") if ours else ("Google's", "bert4keras")
    assert said.startswith(f"computed as {owner}:")
    assert f"--option semantics={other}" in said
    assert all(word in said for word in ("cross attention", "scaled", "gelu"))
    defaults = json.loads((tmp_path / "out/conversion.json").read_text("utf-8"))["defaults"]
    assert ("semantics" in defaults) != ours
    model = loader(report).from_pretrained(tmp_path / "out").eval()
    found = distances(run(model, reference(name)), oracle(name, truth)(reference(name)))
    assert max(found.values()) < 1e-4, found


@every_fixture
def test_where_the_two_differ(name):
    """Not at all where nothing is switched; else from the part that is switched on."""
    told = reference(name)
    google, keras = (oracle(name, truth) for truth in TRUTHS)
    found = distances(google(told), keras(told))
    fixture = record(name)
    gated = name in APART
    other_gelu = gated and fixture["gelu"] == "erf"
    cross = fixture["build_kwargs"].get("cross_position_bias", True)
    assert {part for part, far in found.items() if far > 1e-5} == (
        ({"encoder_output"} if other_gelu else set())
        | ({"decoder_norm"} if other_gelu or cross else set())
        | ({"lm_logits"} if gated or cross else set())
    )


@pytest.mark.parametrize("name", [*APART, "t5"])
@both_truths
def test_two_matrices_stay_two_through_loading_saving_and_training(name, truth, tmp_path):
    import torch

    apart = name in APART
    report = bring_over(name, tmp_path / "out", truth)
    kind = loader(report)
    with convert.open_checkpoint(LEGACY / name / "bert_model.ckpt") as held:
        shared = torch.from_numpy(held["shared/embedding"].numpy())
        head = torch.from_numpy(held["decoder/logits/kernel"].numpy().T) if apart else shared
    assert torch.equal(shared, head) != apart

    def load(folder):
        model, info = kind.from_pretrained(folder, output_loading_info=True)
        assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
        one, two = model.shared.weight, model.lm_head.weight
        assert (one.data_ptr() != two.data_ptr()) == apart
        return model

    model = load(tmp_path / "out")
    model.save_pretrained(tmp_path / "again")
    again = load(tmp_path / "again")
    for one in (model, again):
        assert torch.equal(one.shared.weight, shared)
        assert torch.equal(one.lm_head.weight, head)
    ids = torch.from_numpy(reference(name)["in_encoder_token_ids"]).long()
    optimizer = torch.optim.Adam(again.train().parameters(), 1e-2)
    again(ids, labels=ids).loss.backward()
    gradients = again.shared.weight.grad, again.lm_head.weight.grad
    assert (gradients[0] is gradients[1]) != apart
    optimizer.step()
    for matrix, before in ((again.shared.weight, shared), (again.lm_head.weight, head)):
        assert not torch.equal(matrix, before)
    trained = again.state_dict()
    again.save_pretrained(tmp_path / "trained")
    last = load(tmp_path / "trained")
    assert torch.equal(last.shared.weight, last.lm_head.weight) != apart
    for matrix in ("shared.weight", "lm_head.weight"):
        assert torch.equal(last.state_dict()[matrix], trained[matrix])


@pytest.fixture
def typed(capsys):
    """`typed("convert", ...)`: exit code and stderr."""
    from zoo.cli import app

    def call(*words):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            app([str(word) for word in words], prog_name="genae")
        return end.value.code or 0, capsys.readouterr().err

    return call


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("truth", [{}, {"semantics": "google"}], ids=["default", "google"])
def test_the_bias_of_bert4keras_is_not_asked_of_google(value, truth, tmp_path, typed):
    source = LEGACY / "t5/bert_model.ckpt"
    told = {"cross_position_bias": value} | truth
    with pytest.raises(UsageError, match="semantics=bert4keras"):
        convert.convert_checkpoint(source, tmp_path / "out", options=told)
    words = [word for key, one in told.items() for word in ("--option", f"{key}={one}")]
    code, err = typed("convert", source, tmp_path / "out", *words)
    assert code == 2
    assert "semantics=bert4keras" in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.fixture(params=["mt5", "t5", "t5_v1_1"])
def pegasus(request, tmp_path):
    """A checkpoint of T5 with the vocabulary of a BERT, as T5-PEGASUS has it."""
    folder = tmp_path / "in"
    folder.mkdir()
    for file in (LEGACY / request.param).glob("bert_*"):
        shutil.copy(file, folder)
    size = record(request.param)["effective"]["vocab_size"]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *map(chr, range(0x4E00, 0x4E00 + size - 4))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder


def test_a_vocabulary_of_bert_beside_a_t5_is_asked_about(pegasus, tmp_path, typed):
    with pytest.raises(UsageError, match=r"semantics=bert4keras.*semantics=google"):
        convert.convert_checkpoint(pegasus, tmp_path / "out")
    code, err = typed("convert", pegasus, tmp_path / "out")
    assert code == 2
    assert "T5-PEGASUS" in err
    assert "Traceback" not in err
    (missing,) = convert.inspect(pegasus).missing
    assert "T5-PEGASUS" in missing
    assert not (tmp_path / "out").exists()


@both_truths
def test_an_answer_is_taken(pegasus, truth, tmp_path, typed):
    words = ("--option", f"semantics={truth}")
    code, err = typed("convert", pegasus, tmp_path / "out", *words)
    assert code == 0, err
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert (config["model_type"] == "genae_t5") == (truth == "bert4keras")
    assert (tmp_path / "out/tokenizer.json").is_file()
