"""`tf_model.h5` of transformers 4 gives the model of transformers that it was the same as.

transformers 5 has no TensorFlow classes. The files are made here from its PyTorch models, by the
rule that transformers 4 read them with, turned around (`modeling_tf_pytorch_utils.py`): kernels
transposed, `layer_._0`, `mlm___cls`.
"""

import json
import re

import h5py
import numpy as np
import pytest
import torch
import transformers

import convert
from zoo.errors import IntegrityError, NotFoundError, UsageError

SMALL = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 20,
    "vocab_size": 30,
    "max_position_embeddings": 16,
}
FACTORIZED = SMALL | {"embedding_size": 6}
GPT = {"n_embd": 12, "n_layer": 2, "n_head": 2, "vocab_size": 30, "n_positions": 16}
GPT |= {"bos_token_id": 1, "eos_token_id": 2}
T5 = {"d_model": 12, "d_kv": 5, "d_ff": 20, "num_layers": 2, "num_heads": 2, "vocab_size": 30}
T5 |= {"decoder_start_token_id": 0}
GATED = T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
#: Class -> its configuration's fields.
MODELS = {
    "BertForPreTraining": SMALL | {"layer_norm_eps": 1e-5},
    "BertForMaskedLM": SMALL | {"hidden_act": "gelu_new"},
    "BertForNextSentencePrediction": SMALL,
    "BertModel": SMALL | {"type_vocab_size": 4},
    "AlbertForPreTraining": FACTORIZED,
    "AlbertForMaskedLM": FACTORIZED,
    "AlbertModel": FACTORIZED,
    "ElectraForPreTraining": FACTORIZED,
    "ElectraModel": SMALL | {"embedding_size": 12},
    "RoFormerForMaskedLM": FACTORIZED,
    "RoFormerModel": SMALL | {"embedding_size": 12, "rotary_value": True},
    "GPT2LMHeadModel": GPT,
    "T5ForConditionalGeneration": T5,
    "T5EncoderModel": T5,
    "T5Model": T5 | {"feed_forward_proj": "gated-gelu"},
    "MT5ForConditionalGeneration": GATED,
}
#: Classes whose weights have the scope of the main layer in TensorFlow alone.
BARE = ("BertModel", "AlbertModel", "ElectraModel", "RoFormerModel")
#: Layers of the TensorFlow classes that hold a head.
HEADS = {
    r"^cls\.predictions": "mlm___cls",
    r"^cls\.seq_relationship": "nsp___cls",
}


def tf_name(name, conv1d=False):
    """PyTorch's name of a weight -> TensorFlow's, and whether it is transposed."""
    if name.endswith("relative_attention_bias.weight"):
        name, turned = name.replace(".weight", ".embeddings"), False
    elif re.search(r"word_embeddings\.weight|^shared\.weight|\bw[tp]e\.weight", name):
        turned = False
    elif name.endswith("_embeddings.weight") or name.endswith("s_embed.weight"):
        name, turned = name.replace(".weight", ".embeddings"), False
    elif re.search(r"(LayerNorm|layer_norm|ln_\w)\.(weight|bias)$", name):
        if not name.endswith("layer_norm.weight") or "full_layer" in name:
            name = name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta")
            name = re.sub(r"(norm|ln_\w)\.weight", r"\1.gamma", name)
            name = re.sub(r"(norm|ln_\w)\.bias", r"\1.beta", name)
        turned = False
    elif name.endswith(".weight") and not conv1d:
        name, turned = re.sub(r"weight$", "kernel", name), True
    else:
        turned = False
    return re.sub(r"/(\d+)/", r"_._\1/", name.replace(".", "/")) + ":0", turned


def write(model, path, form="grouped", extra=()):
    """A file as `save_pretrained` of the TensorFlow class wrote it."""
    scope = "tf_" + re.sub(r"(?<!^)(?=[A-Z])", "_", type(model).__name__).lower()
    scope = re.sub(r"_l_m|t_5|g_p_t2", lambda m: m[0].replace("_", "", 9), scope)
    tied = {name for name in model.state_dict() if re.search(r"decoder\.(weight|bias)$", name)}
    tied |= {name for name in model.state_dict() if "embed_tokens" in name}
    head = getattr(model, "lm_head", None)
    if head is not None and head.weight is model.get_input_embeddings().weight:
        tied |= {"lm_head.weight"}
    groups = {}
    for name, tensor in [*model.state_dict().items(), *extra]:
        if name in tied or "seq_relationship.num" in name:
            continue
        array = tensor.numpy()
        if type(model).__name__ in BARE:
            name = f"{model.base_model_prefix}.{name}"
        conv1d = "GPT" in type(model).__name__ and name != "score.weight"
        called, turned = tf_name(name, conv1d)
        array = array.T if turned else array
        if "GPT" in type(model).__name__ and array.ndim == 1 and "ln_" not in name:
            array = array[None]  # an offset of Conv1D
        group = called.split("/")[0]
        for pattern, head in HEADS.items():
            if re.match(pattern, name):
                group, called = head, called.replace("cls", head, 1)
        groups.setdefault(group, {})[f"{scope}_1/{called}"] = array
    with h5py.File(path, "w") as file:
        if form == "flat":
            for weights in groups.values():
                for key, array in weights.items():
                    file[key] = array
            return
        file.attrs["layer_names"] = np.array([group.encode() for group in groups])
        file.attrs["backend"] = "tensorflow"
        for group, weights in groups.items():
            if group == "mlm___cls":  # the head lists the table that it is tied to
                table = f"{scope}_1/{model.base_model_prefix}/embeddings/word_embeddings/weight:0"
                weights = weights | {table: next(iter(groups.values()))[table]}
            made = file.create_group(group)
            for key, array in weights.items():
                made[key] = array
            made.attrs["weight_names"] = np.array([key.encode() for key in weights])


@pytest.fixture(scope="module")
def models():
    made = {}

    def model(name):
        if name not in made:
            torch.manual_seed(0)
            cls = getattr(transformers, name)
            one = cls(cls.config_class(**MODELS.get(name, SMALL)))
            if "MT5" in name:
                one.lm_head.weight = torch.nn.Parameter(torch.zeros(30, 12))
            with torch.no_grad():
                for key, parameter in one.named_parameters():
                    if "embed_positions" not in key:
                        parameter.normal_(std=0.3)
            made[name] = one.eval()
        return made[name]

    return model


def folder_of(model, folder, **more):
    folder.mkdir()
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    (folder / "config.json").write_text(json.dumps(config))
    write(model, folder / "tf_model.h5", **more)
    return folder / "tf_model.h5"


def outputs_of(model):
    ids = torch.arange(3, 11)[None]
    more = {}
    if model.config.is_encoder_decoder:
        more["decoder_input_ids"] = ids[:, :5]
    with torch.no_grad():
        found = model(ids, **more).to_tuple()
    return [one for one in found if isinstance(one, torch.Tensor)]


#: Fields that may differ; an activation has another name for the same function.
FREE = ("_name_or_path", "architectures", "dtype", "hidden_act", "activation_function")


@pytest.mark.parametrize(
    ("name", "form"),
    [*((name, "grouped") for name in MODELS), ("BertForPreTraining", "flat"), ("T5Model", "flat")],
)
def test_the_same_model(name, form, models, tmp_path):
    model = models(name)
    source = folder_of(model, tmp_path / "in", form=form)
    report = convert.convert_checkpoint(source, tmp_path / "out")
    assert (
        "names of transformers' TensorFlow models, read as those of the original" in report.notes
    )
    assert report.architecture == name
    again, info = getattr(transformers, name).from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not info["unexpected_keys"]
    missing = {key for key in info["missing_keys"] if "embed_positions" not in key}
    assert not missing
    for key, tensor in again.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key]), key
    given, made = model.config.to_dict(), again.config.to_dict()
    apart = {key: (given[key], made[key]) for key in given if given[key] != made[key]}
    apart = {key: pair for key, pair in apart.items() if key not in FREE}
    assert apart in ({}, {"scale_decoder_outputs": (True, False)} if name == "T5Model" else {})
    for one, other in zip(outputs_of(model), outputs_of(again.eval()), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def rewrite(path, change):
    """A file with every weight as `change` of name and values gives it, or without it."""
    weights = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, one: weights.update({name: np.array(one)})
                        if isinstance(one, h5py.Dataset) else None)  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, array in weights.items():
            for key, value in change(name, array):
                file[key] = value
    return path


def test_maps_that_keep_heads_apart(models, tmp_path):
    """transformers 4.1 made them with `EinsumDense`."""

    def change(name, array):
        if "/attention/self/" in name:
            yield name, array.reshape(*array.shape[:-1], 2, 6)
        elif "/attention/output/dense/kernel" in name:
            yield name, array.reshape(2, 6, 12)
        else:
            yield name, array

    source = rewrite(folder_of(models("BertModel"), tmp_path / "in"), change)
    convert.convert_checkpoint(source, tmp_path / "out")
    again = transformers.BertModel.from_pretrained(tmp_path / "out")
    for key, tensor in again.state_dict().items():
        assert torch.equal(tensor, models("BertModel").state_dict()[key]), key


def test_the_offset_that_tensorflow_adds_is_taken(models, tmp_path):
    """ALBERT has two offsets of its output, of which its head in TensorFlow adds one."""

    def change(name, array):
        if name.endswith("predictions/bias:0"):
            yield name.replace("bias:0", "decoder/bias:0"), array
            array = array + 1
        yield name, array

    source = rewrite(folder_of(models("AlbertForMaskedLM"), tmp_path / "in"), change)
    report = convert.convert_checkpoint(source, tmp_path / "out")
    again = transformers.AlbertForMaskedLM.from_pretrained(tmp_path / "out")
    assert torch.equal(again.predictions.bias, models("AlbertForMaskedLM").predictions.bias)
    assert any(name.endswith("predictions/bias:0") for name in report.plan.dropped)


def test_t5_of_earlier_releases(models, tmp_path):
    """Cross attention had a table of positions that nothing uses; `shared` had another name."""

    def change(name, array):
        if "decoder/block_._0/layer_._0/SelfAttention/relative" in name:
            yield name.replace("layer_._0/Self", "layer_._1/EncDec"), array
        yield name.replace("shared/weight", "shared/embeddings"), array

    model = models("T5ForConditionalGeneration")
    source = rewrite(folder_of(model, tmp_path / "in"), change)
    convert.convert_checkpoint(source, tmp_path / "out")
    again = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path / "out").eval()
    for one, other in zip(outputs_of(model), outputs_of(again), strict=True):
        assert torch.equal(one, other)


def test_gpt(tmp_path):
    """OpenAI's GPT: ours, without segments; queries, keys and values are one map there."""
    from zoo.models import GenaeGPTForCausalLM

    torch.manual_seed(0)
    model = transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**GPT)).eval()
    source = folder_of(model, tmp_path / "in")
    report = convert.convert_checkpoint(source, tmp_path / "out")
    assert report.architecture == "GenaeGPTForCausalLM"
    again = GenaeGPTForCausalLM.from_pretrained(tmp_path / "out").eval()
    ids = torch.arange(3, 11)[None]
    with torch.no_grad():
        assert torch.allclose(model(ids).logits, again(ids).logits, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "BertForSequenceClassification", "BertForTokenClassification", "BertForQuestionAnswering",
        "AlbertForSequenceClassification", "ElectraForSequenceClassification",
        "RoFormerForSequenceClassification", "RoFormerForTokenClassification",
        "GPT2ForSequenceClassification",
    ],
)  # fmt: skip
def test_heads_of_fine_tuning_are_named(name, tmp_path):
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    fields = {"GPT2": GPT, "Bert": SMALL}.get(name[:4], FACTORIZED)
    source = folder_of(cls(cls.config_class(**fields)), tmp_path / "in")
    with pytest.raises((UsageError, IntegrityError), match=r"classif|answering") as error:
        convert.convert_checkpoint(source, tmp_path / "out")
    assert "head=none" in str(error.value)
    report = convert.convert_checkpoint(source, tmp_path / "out", options={"head": "none"})
    assert any("head=none" in reason for reason in report.plan.dropped.values())


CLS = {"pooling": "cls", "activation": "softmax"}


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("BertForSequenceClassification", {"kind": "classifier", **CLS, "pooling": "pooler"}),
        ("ElectraForSequenceClassification", {"kind": "classifier", **CLS}),
        ("RoFormerForSequenceClassification", {"kind": "classifier", **CLS}),
        ("AlbertForQuestionAnswering", {"kind": "span"}),
    ],
)
def test_heads_of_fine_tuning_come_to_the_class_that_they_are_of(name, table, tmp_path):
    torch.manual_seed(0)
    cls = getattr(transformers, name)
    model = cls(cls.config_class(**(SMALL if name[:4] == "Bert" else FACTORIZED))).eval()
    source = folder_of(model, tmp_path / "in")
    report = convert.convert_checkpoint(source, tmp_path / "out", options={"heads": [table]})
    assert report.result["architectures"] == [name]
    again = cls.from_pretrained(tmp_path / "out").eval()
    ids = torch.arange(3, 11)[None]
    with torch.no_grad():
        wanted, found = (one(ids).to_tuple() for one in (model, again))
    for one, two in zip(wanted, found, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-6)


def test_a_generator_is_refused(tmp_path):
    model = transformers.ElectraForMaskedLM(transformers.ElectraConfig(**FACTORIZED))
    source = folder_of(model, tmp_path / "in")
    with pytest.raises(IntegrityError, match="generator_lm_head"):
        convert.convert_checkpoint(source, tmp_path / "out")


def test_stacks_of_two_depths_are_refused(tmp_path):
    config = transformers.T5Config(**T5 | {"num_decoder_layers": 1})
    source = folder_of(transformers.T5ForConditionalGeneration(config), tmp_path / "in")
    with pytest.raises(UsageError, match="num_decoder_layers 1"):
        convert.convert_checkpoint(source, tmp_path / "out")


def test_check_says_it_as_well(models, tmp_path):
    source = folder_of(models("GPT2LMHeadModel"), tmp_path / "in")
    found = convert.inspect(source)
    assert found.families == ["gpt2"]
    assert found.missing == []
    assert found.sizes["layers"] == 2


def test_a_tokenizer_beside_it_is_copied(models, tmp_path):
    """GPT-2's byte pairs have no other form here; `tokenizer.json` loads as it is."""
    source = folder_of(models("GPT2LMHeadModel"), tmp_path / "in")
    tokens = [*"abcdefghij", "Ġ", "ab", "<|endoftext|>"]
    ids = {token: i for i, token in enumerate(tokens)}
    (tmp_path / "in" / "vocab.json").write_text(json.dumps(ids))
    (tmp_path / "in" / "merges.txt").write_text("#version: 0.2\na b\n")
    (tmp_path / "in" / "generation_config.json").write_text("{}")
    report = convert.convert_checkpoint(source, tmp_path / "out")
    assert {"vocab.json", "merges.txt"} <= set(report.files)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("abc")["input_ids"] == [ids["ab"], ids["c"]]
    (tmp_path / "in" / "vocab.json").write_text(json.dumps(ids | {"more": 30}))
    with pytest.raises(IntegrityError, match="31 tokens"):
        convert.convert_checkpoint(source, tmp_path / "other")
    assert convert.inspect(source).missing


def test_a_vocabulary_with_its_settings_is_copied(models, tmp_path):
    """`tokenizer_config.json` says that texts keep their case."""
    source = folder_of(models("BertModel"), tmp_path / "in")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ab", *map(str, range(100, 124))]
    (tmp_path / "in" / "vocab.txt").write_text("\n".join(tokens))
    (tmp_path / "in" / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    report = convert.convert_checkpoint(source, tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("ab AB")["input_ids"] == [2, 5, 1, 3]
    (note,) = [note for note in report.notes if "do_lower_case" in note]
    assert "do_lower_case=False by tokenizer_config.json, which the vocabulary contradicts" in note
    assert "--option do_lower_case=true writes" in note
    for lower, ids in ((True, [2, 5, 5, 3]), (False, [2, 5, 1, 3])):
        out = tmp_path / str(lower)
        report = convert.convert_checkpoint(source, out, options={"do_lower_case": lower})
        assert transformers.AutoTokenizer.from_pretrained(out)("ab AB")["input_ids"] == ids
        assert "tokenizer.json" in report.files
    (tmp_path / "in" / "vocab.txt").write_text("\n".join([*tokens[:-1], "AB"]))
    report = convert.convert_checkpoint(source, tmp_path / "cased")
    assert not any("do_lower_case" in note for note in report.notes)
    (tmp_path / "in" / "tokenizer_config.json").write_text("{}")
    report = convert.convert_checkpoint(source, tmp_path / "unsaid")
    assert any("do_lower_case=True by tokenizer_config.json" in note for note in report.notes)
    (tmp_path / "in" / "vocab.txt").write_text("\n".join(tokens))
    (tmp_path / "in" / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    report = convert.convert_checkpoint(
        source, tmp_path / "cut", options={"keep_tokens": [0, 1, 2, 3, 5]}
    )
    assert "tokenizer.json" in report.files


def test_several_files_are_one_checkpoint(models, tmp_path):
    """transformers cut models of more than 10 GB; a folder of them is converted as well."""
    model = models("BertForMaskedLM")
    source = folder_of(model, tmp_path / "in", form="flat")
    with h5py.File(source, "r") as file:
        weights = {}
        file.visititems(lambda name, one: weights.update({name: np.array(one)})
                        if isinstance(one, h5py.Dataset) else None)  # fmt: skip
    source.unlink()
    parts = [source.with_name(f"tf_model-{i:05}-of-00002.h5") for i in (1, 2)]
    for place, path in enumerate(parts):
        with h5py.File(path, "w") as file:
            for name in list(weights)[place::2]:
                file[name] = weights[name]
    for given in (tmp_path / "in", parts[1]):
        report = convert.convert_checkpoint(given, tmp_path / f"out{given.name}")
        assert "2 files" in convert.inspect(given).form
        again = transformers.BertForMaskedLM.from_pretrained(report.out)
        for key, tensor in again.state_dict().items():
            assert torch.equal(tensor, model.state_dict()[key]), key
    parts[0].unlink()
    with pytest.raises(NotFoundError, match=r"missing: tf_model-00001-of-00002\.h5"):
        convert.convert_checkpoint(parts[1], tmp_path / "half")


def test_a_decoder_keeps_its_class(tmp_path):
    config = transformers.BertConfig(**SMALL, is_decoder=True)
    model = transformers.BertLMHeadModel(config)
    report = convert.convert_checkpoint(folder_of(model, tmp_path / "in"), tmp_path / "out")
    assert report.architecture == "BertLMHeadModel"
