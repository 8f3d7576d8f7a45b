"""Fine-tuned models that bert4keras saved, with their heads, from every form of file."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import convert
from convert.heads.kinds import ALWAYS, KINDS
from convert.heads.labels import read_heads, read_labels
from convert.heads.tuning import tune
from convert.heads.units import Unit
from convert.parity import compare_arrays
from convert.verify.texts import _load
from tests.conversion.records import FIXTURES
from tests.conversion.rewritten import rewritten
from zoo.errors import GenaeError, ToleranceError, UsageError
from zoo.models.text import configuration_heads

HERE = FIXTURES / "finetuned"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "fixtures" / "finetuned"

CLASSIFIER = (["classifier"], ["pooling=cls", "activation=softmax"])
#: Recorded models: family, kinds of heads, settings, class of the result.
MODELS = {
    "classifier_cls": ("bert", *CLASSIFIER, "GenaeBertForSequenceClassification"),
    "classifier_cls_keras231": ("bert", *CLASSIFIER, "GenaeBertForSequenceClassification"),
    "classifier_albert": ("albert", *CLASSIFIER, "GenaeAlbertForSequenceClassification"),
    "classifier_nezha": ("nezha", *CLASSIFIER, "GenaeNezhaForSequenceClassification"),
    "classifier_electra": ("electra", *CLASSIFIER, "GenaeElectraForSequenceClassification"),
    "classifier_roformer": ("roformer", *CLASSIFIER, "GenaeRoFormerForSequenceClassification"),
    "classifier_roformer_v2": (
        "roformer_v2", *CLASSIFIER, "GenaeRoFormerV2ForSequenceClassification"
    ),
    "classifier_pool": (
        "bert", ["classifier"], ["activation=softmax"], "BertForSequenceClassification"
    ),
    "classifier_pool_full": ("bert", None, None, "BertForSequenceClassification"),
    "classifier_multilabel": (
        "bert", ["classifier"], ["activation=sigmoid"], "BertForSequenceClassification"
    ),
    "classifier_multilabel_logits": (
        "bert", ["classifier"], ["pooling=mean", "activation=linear"],
        "GenaeBertForSequenceClassification",
    ),
    "ner_crf": ("bert", ["crf"], ["lr_multiplier=1000"], "BertForCRFTokenClassification"),
    "ner_crf_truncated": ("bert", ["crf"], ["lr_multiplier=1"], "BertForCRFTokenClassification"),
    "ner_crf_keras231": ("bert", ["crf"], ["lr_multiplier=100"], "BertForCRFTokenClassification"),
    "ner_memm": ("bert", ["memm"], ["lr_multiplier=1000"], "BertForMEMMTokenClassification"),
    "ner_memm_lowrank": (
        "bert", ["memm"], ["lr_multiplier=100"], "BertForMEMMTokenClassification"
    ),
    "ner_global_pointer": (
        "bert", ["global_pointer"], ["size=8", "rope=true", "triangle=true"],
        "BertForEntityPointers",
    ),
    "ner_efficient_global_pointer": (
        "bert", ["efficient_global_pointer"], ["rope=true", "triangle=true"],
        "BertForEntityPointers",
    ),
    "relation_gplinker": ("bert", ["gplinker"], None, "BertForRelationPointers"),
    "relation_half_pointer": ("bert", ["half_pointer"], None, "BertForHalfPointerRelations"),
    "multi_task": (
        "bert", ["classifier", "token_classifier"], ["pooling=cls", "activation=softmax"],
        "BertForMultiTask",
    ),
    "hand_named": (
        "bert", ["classifier", "token_classifier", "last=classifier"],
        ["pooling=cls", "activation=softmax", "tags_v2.activation=linear"], "BertForMultiTask",
    ),
}  # fmt: skip
#: Those that lie here; the others where the recorded models are.
SMALL = {
    "hand_named": "best_model.weights",
    "relation_half_pointer": "tf_format/best_model.weights",
    "classifier_pool_full": "model.h5",
    "ner_crf": "tf_format/best_model.weights",
}
NAMES = ("best_model", "model")
RULES = ("starts", "ends", "forbidden")


def forms(name):
    """Every file of a recorded model."""
    folder = SHARED / name
    files = [one.name for one in sorted(folder.iterdir()) if one.name.startswith(NAMES)]
    return [*files, *(["tf_format/best_model.weights"] if (folder / "tf_format").exists() else [])]


def asked(name, file=""):
    """The options of a conversion."""
    _, kinds, settings, _ = MODELS[name]
    options = {"gelu": "tanh"} if name in ("classifier_pool", "classifier_albert") else {}
    if file.startswith("model"):  # its architecture says the rest, but not what a Lambda takes
        kinds = kinds and ["classifier"]
        settings = kinds and ["pooling=cls"]
    return options | ({"heads": read_heads(kinds, settings, None)} if kinds else {})


def converted(folder, name, file, out):
    return convert.convert_checkpoint(
        folder / name / file, out, config=folder / name / "bert_config.json",
        family=MODELS[name][0], options=asked(name, file), verify=folder / name / "reference.npz",
    )  # fmt: skip


def probabilities(model, logits):
    """What the original's outputs are, by their names."""
    if not isinstance(logits, dict):
        several = model.config.problem_type == "multi_label_classification"
        probs = logits.sigmoid() if several else logits.softmax(-1)
        return {"logits": logits, "emissions": logits, "probs": probs}
    found = {f"{name}_logits": value for name, value in logits.items()}
    if "subject" in logits:
        (head,) = model.heads.values()
        return {f"{name}_probs": one for name, one in head.probabilities(logits).items()}
    for number, (name, value) in enumerate(logits.items()):
        head = getattr(model.heads, name, None)
        plain = getattr(getattr(head, "settings", None), "activation", "") != "softmax"
        found[f"head_{number}"] = value if plain else value.softmax(-1)
    return found


def check(folder, name, file, tmp_path):
    """Outputs and decoded results of a converted model are the recorded ones."""
    report = converted(folder, name, file, tmp_path / "out")
    assert report.result["architectures"] == [MODELS[name][-1]]
    with np.load(folder / name / "reference.npz") as arrays:
        recorded = {key for key in arrays if key[:4] == "out_" or key == "trans"}
    verified = {one.name for one in report.parity}
    assert verified < recorded | {"trans"}
    assert all(re.match("out_(loss|accuracy|subject_vec|cond)", x) for x in recorded - verified)
    assert all(any(f"{one} (" in note for note in report.notes) for one in recorded - verified)
    model = _load(tmp_path / "out", torch.float32)
    with np.load(folder / name / "reference.npz") as arrays:
        given = {key: torch.from_numpy(np.asarray(value)) for key, value in arrays.items()}
    mask = given["mask"].long()
    more = {"subject_ids": given["in_subject_ids"].long()} if "in_subject_ids" in given else {}
    with torch.no_grad():
        output = model(
            input_ids=given["in_token_ids"].long(), attention_mask=mask,
            token_type_ids=given["in_segment_ids"].long(), **more,
        )  # fmt: skip
    found = probabilities(model, output.logits)
    compared = [key for key in given if key.removeprefix("out_") in found and key[:4] == "out_"]
    assert compared
    for key in compared:
        ours, wanted = found[key.removeprefix("out_")], given[key]
        if wanted.ndim > 2 and wanted.shape[1] == mask.shape[1]:
            ours, wanted = ours[mask.bool()], wanted[mask.bool()]
        torch.testing.assert_close(ours, wanted, rtol=2e-5, atol=2e-5)
    if "trans" in given:
        torch.testing.assert_close(model.transitions, given["trans"], rtol=2e-5, atol=2e-5)
    decoded = folder / name / "decoded.json"
    for key, wanted in json.loads(decoded.read_text()).items() if decoded.exists() else ():
        if key == "viterbi":
            for one in wanted:
                rules = {
                    rule: one[rule] for rule in ("starts", "ends", "forbidden") if rule in one
                }
                assert model.decode(output, mask, **rules) == one["rows"]
        else:
            rows = [row["triples"] for row in wanted] if key == "relations" else wanted
            assert model.decode(output, mask) == rows
    return report


@pytest.mark.parametrize("name", SMALL)
def test_a_fine_tuned_model_computes_what_was_recorded(name, tmp_path):
    report = check(HERE, name, SMALL[name], tmp_path)
    assert report.plan.dropped.keys().isdisjoint(
        source for step in report.plan.steps for source in step.sources
    )


@pytest.mark.parametrize(
    ("name", "setting", "kept"),
    [
        ("ner_crf", "lr_multiplier=999", ("trans",)),
        ("classifier_pool_full", "activation=sigmoid", ("out_probs", "out_pooled")),
    ],
)
def test_records_of_ones_own_tell_a_wrong_setting(name, setting, kept, tmp_path):
    folder = HERE / name
    with np.load(folder / "reference.npz") as arrays:
        own = {key: arrays[key] for key in ("in_token_ids", "in_segment_ids", *kept)}
    own["out_hidden_states_of_mine"] = np.zeros(3)
    np.savez(tmp_path / "mine.npz", **own)
    kind = MODELS[name][1] or ["classifier"]
    request = {"family": MODELS[name][0], "config": folder / "bert_config.json"}
    for settings, wrong in ((None, False), ([setting], True)):
        given = read_heads(kind, settings or (MODELS[name][2] or []), None)
        call = partial(
            convert.convert_checkpoint, folder / SMALL[name], tmp_path / f"{wrong}",
            options={"heads": given}, verify=tmp_path / "mine.npz", **request,
        )  # fmt: skip
        if wrong:
            with pytest.raises(ToleranceError, match=f"{kept[0]} by .*--head-option KEY=VALUE"):
                call()
            assert not (tmp_path / f"{wrong}").exists()
        else:
            report = call()
            assert {one.name for one in report.parity} == set(kept)
            said = "out_hidden_states_of_mine (no output is called so)"
            assert any(said in note for note in report.notes)


def test_minus_infinity_is_equal_to_itself_alone():
    hidden = np.array([1.0, -np.inf])
    assert compare_arrays("x", hidden, hidden).max_absolute == 0
    assert not compare_arrays("x", np.array([1.0, -1e9]), hidden).ok
    assert not compare_arrays("x", np.array([np.nan, -np.inf]), hidden).ok
    assert compare_arrays("x", np.array([1.0, -np.inf]), np.array([1.5, -np.inf])).tolerance < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_recorded_model_from_every_file(name, tmp_path):
    if not SHARED.exists():
        pytest.skip("no recorded models in ../shared/fixtures/finetuned")
    for number, file in enumerate(forms(name)):
        check(SHARED, name, file, tmp_path / f"{number}")


def test_kinds_and_settings_are_those_of_the_models():
    # Vectors of sentences are no layer of a file.
    assert KINDS.keys() == configuration_heads.KINDS.keys() - {"vectors"}
    for name, kind in KINDS.items():
        known = set(configuration_heads.KINDS[name].__dataclass_fields__)
        assert {*kind.asked, *kind.settings, *ALWAYS} - {"kind", "name"} <= known


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (["crf"], "changes numbers: --head-option lr_multiplier=1 .or another number"),
        (["classifier"], "conditional_random_field.*more than the heads.*--head crf"),
        (["memm"], "head 1, memm.*behind the backbone of width 20.*It could be classifier"),
        (["crff"], "no kind of head is called 'crff'. Did you mean 'crf'"),
        (["multi_task"], "--head KIND for each"),
        (["crf", "span"], "head 2, span.*the file has no layer"),
    ],
)
def test_what_does_not_fit_is_said(heads, message):
    place = HERE / "ner_crf" / "tf_format" / "best_model.weights"
    given = {"heads": read_heads(heads, None, None)}
    found = convert.inspect(place, options=given)
    assert found.exit_code == 2
    with pytest.raises(UsageError, match=f"(?s){message}"):
        raise UsageError(found.missing[0])


@pytest.mark.parametrize(
    ("pooler", "words"), [(False, r"=cls \(or mean\);"), (None, r"=pooler \(or cls, mean\);")]
)
def test_a_pooler_is_offered_where_there_is_one(pooler, words):
    left = [Unit("dense_7", ("dense_7/kernel:0", "dense_7/bias:0"), ((8, 3), (3,)))]
    with pytest.raises(UsageError, match=f"--head-option pooling{words}"):
        tune([{"kind": "classifier"}], left, 8, pooler=pooler)


def test_settings_are_checked_before_anything_is_written(tmp_path):
    place = HERE / "ner_crf" / "tf_format" / "best_model.weights"
    for setting, message in (
        ("lr_multiplier=0", "above 0"),
        ("lr_multipler=3", "no setting 'lr_multipler'. Did you mean 'lr_multiplier'"),
        ('starts="a"', "starts is 'a'; give a list of whole numbers"),
        ("starts=[-1]", "a list of whole numbers"),
        ("forbidden=[[1]]", "a list of pairs of whole numbers"),
        ("forbidden=3", "a list of pairs"),
        ("starts=[0, 7]", "starts has label 7, and crf dense has 7, counted from 0 to 6"),
        ("ends=[9]", "ends has label 9, and crf dense has 7"),
        ("forbidden=[[0, 1], [3, 8]]", "forbidden has label 8, and crf dense has 7"),
        ("starts=[]", "no label is left"),
        ("dropout=true", "a number from 0"),
        ("other.lr_multiplier=3", "no head is called 'other'; there are tags"),
    ):
        with pytest.raises(UsageError, match=message):
            convert.convert_checkpoint(
                place, tmp_path / "out", options={"heads": read_heads(["crf"], [setting], None)}
            )
    assert not (tmp_path / "out").exists()
    edges = {"starts": [6], "ends": [0, 6], "forbidden": [[6, 0]], "lr_multiplier": 1}
    given = {"heads": [{"kind": "crf", **edges}]}
    assert convert.inspect(place, options=given).exit_code == 0


def test_a_pointer_has_as_many_types_as_its_size_leaves():
    unit = Unit("global_pointer", ("kernel", "bias"), ((20, 48), (48,)))
    turned = {"rope": True, "triangle": True, "kind": "global_pointer"}
    for given, labels, wanted in (({"size": 8}, None, (8, 3)), ({}, ["a", "b", "c"], (8, 3))):
        tuned = tune([turned | given], [unit], 20, labels)
        assert (tuned.tables["entities"]["size"], tuned.fits[0].sizes["labels"]) == wanted
    for given, message in (
        ({}, "--head-option size=64"),
        ({"size": 5}, "48 columns are not 2 for each"),
        ({"size": 8.0}, "give a whole number"),
        ({"size": 3}, "3, is not even"),
        ({"size": 8, "labels": ["a", "b"]}, "2 types times a size of 8"),
    ):
        with pytest.raises(UsageError, match=message):
            tune([turned | given], [unit], 20)


def test_labels_become_names_and_have_to_be_as_many(tmp_path):
    names = ["O", "B-人", "I-人", "B-地", "I-地", "B-x", "I-x"]
    (tmp_path / "labels.txt").write_text("\n".join(names), "utf-8")
    place = HERE / "ner_crf" / "tf_format" / "best_model.weights"
    options = asked("ner_crf") | {"labels": str(tmp_path / "labels.txt")}
    report = convert.convert_checkpoint(place, tmp_path / "out", options=options)
    assert report.result["id2label"] == {str(i): name for i, name in enumerate(names)}
    assert report.result["label2id"]["B-人"] == 1
    for short, message in ((names[:6], "6 labels are given, and crf dense has 7"),):
        found = convert.inspect(place, options=options | {"labels": short})
        assert message in found.missing[0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a\nb\n\n", ["a", "b"]),
        ("\ufeffa\r\nb", ["a", "b"]),
        ('["a", "b"]', ["a", "b"]),
        ('{"0": "a", "1": "b"}', ["a", "b"]),
        ('{"b": 1, "a": 0}', ["a", "b"]),
        ("a\na", None),
        ("", None),
        ('{"0": "a", "2": "b"}', None),
        ('{"0": ', None),
    ],
)
def test_labels_are_lines_or_json(text, wanted, tmp_path):
    path = tmp_path / "labels"
    path.write_text(text, "utf-8")
    if wanted is None:
        with pytest.raises(GenaeError, match="labels"):
            read_labels(path)
    else:
        assert read_labels(path) == wanted


def test_heads_of_a_file_and_of_words(tmp_path):
    path = tmp_path / "heads.toml"
    path.write_text('[tags]\nkind = "crf"\nlr_multiplier = 3\n[mood]\nkind = "classifier"\n')
    tags, mood = read_heads(None, None, path)
    assert (tags["name"], tags["lr_multiplier"], mood["kind"]) == ("tags", 3, "classifier")
    assert read_heads(["none"], None, None) == "none"
    assert read_heads(None, None, None) is None
    for kinds, settings, file in (
        (["crf"], None, path),
        (["none", "crf"], None, None),
        (None, ["size=3"], None),
    ):
        with pytest.raises(UsageError):
            read_heads(kinds, settings, file)
    path.write_text("kind")
    with pytest.raises(GenaeError, match="not TOML"):
        read_heads(None, None, path)


#: Language models: family, options, the vocabulary that was kept, output -> inputs.
LANGUAGE_MODELS = {
    "seq2seq_unilm_finetuned": ("bert", {"application": "unilm"}, "probs"),
    "language_model_gpt_style": ("bert", {"application": "lm"}, "probs"),
    "reading_comprehension_mlm": ("bert", {}, "mlm_probs"),
    "seq2seq_mt5_finetuned": ("mt5.1.1", {"semantics": "bert4keras"}, "probs"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_language_models_with_fewer_tokens_convert_as_their_backbone(name, tmp_path):
    if not SHARED.exists():
        pytest.skip("no recorded models in ../shared/fixtures/finetuned")
    family, options, output = LANGUAGE_MODELS[name]
    folder = SHARED / name
    simplified = folder / "vocab_simplified.txt"
    with np.load(folder / "reference.npz") as arrays:
        given = {key: torch.from_numpy(np.asarray(value)) for key, value in arrays.items()}
    for number, file in enumerate(forms(name)):
        out = tmp_path / f"{number}"
        report = convert.convert_checkpoint(
            folder / file, out, config=folder / "bert_config.json", family=family, options=options,
            vocab=simplified if simplified.exists() else "none",
        )  # fmt: skip
        assert any("keep_tokens" in note for note in report.warnings)
        model = _load(out, torch.float32)
        inputs = {"input_ids": given.get("in_token_ids"), "attention_mask": given["mask"]}
        if "in_encoder_token_ids" in given:
            inputs["input_ids"] = given["in_encoder_token_ids"]
            inputs["decoder_input_ids"] = given["in_decoder_token_ids"]
            inputs["decoder_attention_mask"] = given["decoder_mask"]
        else:
            inputs["token_type_ids"] = given["in_segment_ids"]
        with torch.no_grad():
            made = model(**{key: value.long() for key, value in inputs.items()})
        seen = given.get("decoder_mask", given["mask"]).bool()
        found = made.logits.softmax(-1)[seen]
        torch.testing.assert_close(found, given[f"out_{output}"][seen], rtol=2e-5, atol=2e-5)


@pytest.mark.slow
def test_real_reviews_are_judged_as_the_original_judged_them(tmp_path, shared_data):
    import pyarrow.parquet
    from transformers import AutoTokenizer

    if not SHARED.exists():
        pytest.skip("no recorded models in ../shared/fixtures/finetuned")
    folder = SHARED / "sentiment_poetry_bert"
    (tmp_path / "labels.txt").write_text("negative\npositive\n")
    options = {"heads": read_heads(*CLASSIFIER, None), "labels": str(tmp_path / "labels.txt")}
    convert.convert_checkpoint(folder, tmp_path / "out", options=options)
    model = _load(tmp_path / "out", torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    (path,) = (shared_data / "zh_sentiment" / "data").glob("test-*.parquet")
    texts = [text.strip() for text in pyarrow.parquet.read_table(path)["text"].to_pylist()]
    with np.load(folder / "reference.npz") as arrays:
        wanted, labels = arrays["test_probs"], arrays["test_labels"]
    found = []
    with torch.no_grad():
        for start in range(0, len(texts), 64):
            batch = tokenizer(
                texts[start : start + 64], truncation=True, max_length=48, padding=True,
                return_tensors="pt",
            )  # fmt: skip
            found.append(model(**batch).logits.softmax(-1).numpy())
    found = np.concatenate(found)
    assert len(found) == 2111
    assert np.abs(found - wanted).max() < 2e-5
    decided = np.abs(wanted[:, 1] - 0.5) > 2e-5
    assert (found.argmax(1) == wanted.argmax(1))[decided].all()
    assert (found.argmax(1) == labels).sum() == 1844
    assert model.config.id2label == {0: "negative", 1: "positive"}


@pytest.mark.parametrize(
    ("source", "head", "kind", "settings", "architecture"),
    [
        (
            "bert_full", {"output_weights": (4, 24), "output_bias": (4,)}, "classifier",
            ["pooling=pooler", "activation=softmax"], "BertForSequenceClassification",
        ),
        (
            "bert_full", {"cls/squad/output_weights": (2, 24), "cls/squad/output_bias": (2,)},
            "span", None, "BertForQuestionAnswering",
        ),
        (
            "albert", {"cls/squad/output_weights": (2, 24), "cls/squad/output_bias": (2,)},
            "span", None, "AlbertForQuestionAnswering",
        ),
        (
            "electra",
            {"task_specific/mnli/dense/kernel": (24, 3), "task_specific/mnli/dense/bias": (3,)},
            "classifier", ["pooling=cls", "activation=softmax"],
            "GenaeElectraForSequenceClassification",
        ),
    ],
)  # fmt: skip
def test_heads_of_googles_scripts(source, head, kind, settings, architecture, tmp_path):
    draw = np.random.default_rng(0)
    new = {name: draw.normal(size=shape).astype(np.float32) for name, shape in head.items()}
    place = rewritten(source, tmp_path / "in", lambda arrays: arrays | new)
    options = {"heads": read_heads([kind], settings, None), "gelu": "erf"}
    report = convert.convert_checkpoint(place, tmp_path / "out", options=options)
    assert report.result["architectures"] == [architecture]
    model = _load(tmp_path / "out", torch.float32)
    ids = torch.arange(1, 15).reshape(2, 7)
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids))
        base = model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids))
    kernel, bias = (torch.from_numpy(one) for one in new.values())
    kernel = kernel if "kernel" in next(iter(head)) else kernel.T
    if kind == "span":
        found = torch.stack([output.start_logits, output.end_logits], -1)
        wanted = base.last_hidden_state @ kernel + bias
    else:
        pooled = "pooling=pooler" in settings
        vector = base.pooler_output if pooled else base.last_hidden_state[:, 0]
        found, wanted = output.logits, vector @ kernel + bias
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


SQUAD_2 = {
    "start_logits/dense/kernel": (24, 1), "start_logits/dense/bias": (1,),
    "end_logits/dense_0/kernel": (48, 24), "end_logits/dense_0/bias": (24,),
    "end_logits/LayerNorm/beta": (24,), "end_logits/LayerNorm/gamma": (24,),
    "end_logits/dense_1/kernel": (24, 1), "end_logits/dense_1/bias": (1,),
    "answer_class/dense_0/kernel": (48, 24), "answer_class/dense_0/bias": (24,),
    "answer_class/dense_1/kernel": (24, 1),
}  # fmt: skip
TWO_MAPS = {
    "classifier/dense/kernel": (24, 24), "classifier/dense/bias": (24,),
    "classifier/out_proj/kernel": (24, 2), "classifier/out_proj/bias": (2,),
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "head", "kind", "message"),
    [
        ("albert", SQUAD_2, "span", "It could be squad2$"),
        ("albert", {"answerable/kernel": (24, 2), "answerable/bias": (2,)}, "span",
         "SQuAD 2, which read the start to find the end.*--head none"),
        ("bert_full", TWO_MAPS, "classifier", "ELECTRA and RoFormer alone.*--head none"),
        ("electra", TWO_MAPS, "token_classifier", "It could be classifier$"),
        ("bert_full", {"cls/squad/output_weights": (2, 24), "cls/squad/output_bias": (2,)},
         "classifier", "It could be span$"),
        ("bert_full", {"output_weights": (2, 24), "output_bias": (2,)}, "global_pointer",
         "It could be classifier, token_classifier"),
    ],
)  # fmt: skip
def test_heads_of_scripts_that_are_none_of_ours_are_refused(source, head, kind, message, tmp_path):
    new = {name: np.zeros(shape, np.float32) for name, shape in head.items()}
    place = rewritten(source, tmp_path / "in", lambda arrays: arrays | new)
    settings = ["pooling=cls", "activation=softmax"] if kind == "classifier" else None
    with pytest.raises(UsageError, match=f"(?s){message}"):
        convert.convert_checkpoint(
            place, tmp_path / "out", options={"heads": read_heads([kind], settings, None)}
        )
    with pytest.raises(UsageError) as error:
        convert.convert_checkpoint(place, tmp_path / "out")
    assert "pointer" not in str(error.value)
    convert.convert_checkpoint(place, tmp_path / "out", options={"head": "none"})


@pytest.mark.slow
def test_vectors_of_sentences_and_texts_of_a_class_are_those_of_the_backbone(tmp_path):
    if not SHARED.exists():
        pytest.skip("no recorded models in ../shared/fixtures/finetuned")
    for name, options in (
        ("sentence_vectors", {"with_pool": "linear"}),
        ("conditional_lm", {"application": "lm"}),
    ):
        folder = SHARED / name
        convert.convert_checkpoint(
            folder / "best_model.weights", tmp_path / name, config=folder / "bert_config.json",
            vocab="none", options=options,
        )  # fmt: skip
        model = _load(tmp_path / name, torch.float32)
        with np.load(folder / "reference.npz") as arrays:
            given = {key: torch.from_numpy(np.asarray(value)) for key, value in arrays.items()}
        mask = given["mask"].bool()
        more = {"condition": given["out_condition_vector"]} if name == "conditional_lm" else {}
        with torch.no_grad():
            made = model(
                given["in_token_ids"].long(), attention_mask=mask.long(),
                token_type_ids=given["in_segment_ids"].long(), output_hidden_states=True, **more,
            )  # fmt: skip
        if more:
            found = {"probs": made.logits.softmax(-1)[mask]}
            given["out_probs"] = given["out_probs"][mask]
        else:
            first, last = made.hidden_states[1], made.last_hidden_state
            means = [
                (one * mask[..., None]).sum(1) / mask.sum(1, keepdim=True) for one in (first, last)
            ]
            found = {
                "cls": last[:, 0], "last_avg": means[1], "first_last_avg": sum(means) / 2,
                "last_max": last.masked_fill(~mask[..., None], -torch.inf).amax(1),
                "pooler": made.pooler_output,
            }  # fmt: skip
        for key, value in found.items():
            torch.testing.assert_close(value, given[f"out_{key}"], rtol=2e-5, atol=2e-5)
