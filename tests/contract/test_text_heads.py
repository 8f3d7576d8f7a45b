"""Laws of heads of fine-tuning: what a head does, once; what a backbone adds, on every one."""

from types import SimpleNamespace

import pytest
import torch
import transformers

import zoo
import zoo.models
from convert import advice
from tests.tiny import NARROW, TEXT, TINY
from zoo import catalog
from zoo.models.text.heads_fine_tuning import CLASSES, FineTuned
from zoo.registry.code import add_code, has_code
from zoo.registry.manifest import read_config

#: Backbones by the names of their rows.
BACKBONES = {
    entry.name: entry
    for entry in catalog.TEXTS
    if entry.own_module and any(name.endswith("ForMultiTask") for name in catalog.heads(entry))
}
#: Heads of every kind, small, for two labels each but where their own tables say otherwise.
SEVERAL = {
    "mood": {"kind": "classifier", "pooling": "mean"},
    "topics": {"kind": "classifier", "activation": "sigmoid", "num_labels": 3},
    "slots": {"kind": "token_classifier", "labels": ["a", "b", "c"], "loss": "focal"},
    "tags": {"kind": "memm", "hidden_dim": 3, "lr_multiplier": 10},
    "answer": {"kind": "span"},
    "spans": {"kind": "efficient_global_pointer", "size": 4, "loss": "sparse"},
    "facts": {"kind": "half_pointer"},
    "squad": {"kind": "squad2", "start_top": 2},
}
#: The heads of each class, where the smallest are not the default ones.
HEADS = {
    "ForCRFTokenClassification": {"tags": {"kind": "crf", "lr_multiplier": 100, "starts": [0]}},
    "ForEntityPointers": {"entities": {"kind": "global_pointer", "size": 4}},
    "ForRelationPointers": {"relations": {"kind": "gplinker", "size": 4}},
    "ForMultiTask": SEVERAL,
}
SUBJECT = {"subject_ids": torch.tensor([[1, 2], [3, 3], [2, 5]])}
#: Three texts; the second ends in padding.
IDS = torch.tensor(
    [[3, 7, 12, 5, 28, 9, 4, 11], [2, 8, 8, 21, 17, 6, 0, 0], [1, 29, 14, 3, 10, 25, 16, 2]]
)
MASK = (IDS != 0).long()


def labels_of(kind, logits):
    """Labels that a head of a kind learns, all of them below 2."""
    if kind in ("gplinker", "half_pointer"):
        own = {"gplinker": "efficient_global_pointer", "half_pointer": "classifier"}[kind]
        form = {"entity", "head", "tail"} & logits.keys() and own
        return {
            name: torch.tensor([[[[1, 3]]]]).expand(*part.shape[:2], 1, 2)
            if form
            else (part.detach() > 0.1).float()
            for name, part in logits.items()
        }
    if kind == "efficient_global_pointer":
        return torch.tensor([[[[1, 3]]]]).expand(*logits.shape[:2], 1, 2)
    if kind == "vectors":
        return torch.tensor([1.0, 0.0])[: len(logits) // 2]
    if kind == "global_pointer":
        return (logits > 0.1).float()
    if kind == "squad2":
        start, end = torch.tensor([[1, 2], [3, 3], [2, 5]]).unbind(-1)
        return {"start": start, "end": end, "null": torch.tensor([0, 1, 0])}
    if kind == "span":
        return torch.tensor([[1, 2], [3, 3], [2, 5]])
    return torch.ones(logits.shape[:-1], dtype=torch.long)


def build(name, ending, heads=None, **options):
    """A model in eval mode with every weight random, as if trained."""
    entry = BACKBONES[name]
    kind = catalog.model_for(entry, [n for n in catalog.heads(entry) if n.endswith(ending)])
    assert issubclass(kind, FineTuned)
    sizes = next(iter(TINY[name].values()))
    heads = heads or HEADS.get(ending)
    model = kind(catalog.load(entry.config)(**sizes | options), heads=heads).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in filter(lambda each: each.requires_grad, model.parameters()):
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def values_of(output):
    """All logits of an output, by dotted names."""
    found = {}

    def walk(name, value):
        if isinstance(value, dict):
            for key, part in value.items():
                walk(f"{name}.{key}", part)
        else:
            found[name] = value

    walk("logits", output.logits)
    return found


#: Every class once, each on another backbone; and every backbone once.
EVERY_CLASS = [
    *zip((name for name, entry in BACKBONES.items() if entry.reads_mask), CLASSES, strict=False)
]
EVERY_BACKBONE = [(name, "ForHalfPointerRelations") for name in BACKBONES]
every_class = pytest.mark.parametrize(("name", "ending"), EVERY_CLASS)
every_backbone = pytest.mark.parametrize(("name", "ending"), EVERY_BACKBONE)


def test_every_backbone_has_every_class():
    assert BACKBONES.keys() == {entry.name for entry in catalog.TEXTS}
    for entry in BACKBONES.values():
        stem = catalog.class_name(entry.config).removesuffix("Config")
        for word in ("Sequence", "Token"):  # of one label; a span is a kind of ForMultiTask
            module = zoo.models if entry.own else transformers
            assert hasattr(module, f"{stem}For{word}Classification")
        for ending in CLASSES:
            kind = getattr(zoo.models, stem + ending)
            auto = getattr(transformers, catalog.HEADS[ending][0])
            assert kind.__doc__
            if entry.own:
                # A model that names none of them has the class that it had without them.
                found = auto._model_mapping[catalog.load(entry.config)]
                assert kind in found
                assert not catalog.is_fine_tuned(found[0].__name__)
                continue
            # What transformers has is as if there was no genae.
            assert catalog.load(entry.config) not in auto._model_mapping._extra_content


@pytest.mark.parametrize(
    ("name", "ending"),
    [*EVERY_CLASS, *((name, "ForCRFTokenClassification") for name in BACKBONES)],
)
def test_saved_and_loaded_it_is_the_same_to_the_bit(name, ending, tmp_path):
    model = build(name, ending)
    model.save_pretrained(tmp_path)
    auto = getattr(transformers, catalog.HEADS[ending][0])
    loaders = [type(model), zoo, *([auto] if BACKBONES[name].own else [])]
    for again in (loader.from_pretrained(tmp_path) for loader in loaders):
        assert type(again) is type(model)
        assert again.config.heads == model.config.heads
        found, wanted = again.state_dict(), model.state_dict()
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    with torch.no_grad():
        found, wanted = (values_of(one(IDS, MASK, **SUBJECT)) for one in (again, model))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_auto_classes_make_the_plain_model_of_a_fresh_configuration():
    for config in (zoo.models.GenaeBertConfig(**TEXT), transformers.BertConfig(**TEXT)):
        for word in ("Model", "ModelForTokenClassification"):
            made = getattr(transformers, f"Auto{word}").from_config(config)
            assert not isinstance(made, FineTuned)
    config = zoo.models.GenaeBertConfig(**TEXT, architectures=None)
    assert type(transformers.AutoModel.from_config(config)) is zoo.models.GenaeBertModel


@every_class
def test_the_loss_reaches_every_parameter(name, ending):
    model = build(name, ending).train()
    ids, mask, more = IDS, MASK, SUBJECT
    if ending == "ForSentenceVectors":  # which ranks pairs
        ids, mask, more = (
            torch.cat([IDS, IDS.flip(0)[:1]]),
            torch.cat([MASK, MASK.flip(0)[:1]]),
            {},
        )
    logits = model(ids, mask, **more).logits
    kinds = {key: table["kind"] for key, table in model.config.heads.items()}
    if ending == "ForMultiTask":
        labels = {key: labels_of(kind, logits[key]) for key, kind in kinds.items()}
        labels["topics"] = torch.tensor([[1, 0, -100], [0, 0, 1], [1, 1, 1]])
    else:
        (kind,) = kinds.values()
        labels = labels_of(kind, logits)
    output = model(ids, mask, labels=labels, **more)
    assert output.loss.ndim == 0
    output.loss.backward()
    learned = {key: p for key, p in model.named_parameters() if p.requires_grad}
    without = [key for key, p in learned.items() if p.grad is None or not p.grad.any()]
    # A softmax does not see what is added to all scores of a query.
    assert all("key.bias" in key for key in without), without
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@every_class
def test_padding_and_company_change_nothing(name, ending):
    model = build(name, ending)
    ids = IDS
    with torch.no_grad():
        whole = model(ids, MASK, **SUBJECT)
        alone = model(ids[1:2, :6], subject_ids=SUBJECT["subject_ids"][1:2])
    found = values_of(whole)
    for key, short in values_of(alone).items():
        part = found[key][1:2][tuple(slice(0, size) for size in short.shape)]
        torch.testing.assert_close(part, short, rtol=1e-4, atol=1e-5)
    one, other = model.decode(whole, MASK), model.decode(alone)
    if ending == "ForSentenceVectors":
        torch.testing.assert_close(torch.tensor(one[1:2]), torch.tensor(other))
    elif isinstance(one, dict):
        assert {key: rows[1:2] for key, rows in one.items()} == other
    else:
        assert one[1:2] == other


@every_backbone
def test_a_half_pointer_reads_what_the_last_normalisation_reads(name, ending):
    model = build(name, ending)
    norm = type(model).find_last_norm(model.base_model)
    with torch.no_grad():
        output = model(IDS, MASK, output_hidden_states=True, **SUBJECT)
        torch.testing.assert_close(norm(output.residual), output.hidden_states[-1])
        assert not norm._forward_pre_hooks
        # Without a subject there are no objects; the subjects are those.
        less = model(IDS, MASK)
    assert less.logits.keys() == {"subject"}
    assert torch.equal(less.logits["subject"], output.logits["subject"])


@every_backbone
def test_padding_is_found_where_no_mask_is_given(name, ending):
    model = build(name, "ForCRFTokenClassification")
    with torch.no_grad():
        given, found = model(IDS, MASK), model(IDS)
    if model.config.model_type != "synthesizer":
        assert torch.equal(found.mask, MASK.bool())
    torch.testing.assert_close(found.logits, given.logits)


def test_heads_of_transformers_models_and_of_ours_are_the_same():
    # ALBERT's tensors have other names.
    for stem, options in (("Bert", {}), ("Electra", NARROW), ("RoFormer", {})):
        theirs = build(stem.lower(), "ForHalfPointerRelations")
        kind = getattr(zoo.models, f"Genae{stem}ForHalfPointerRelations")
        eps = {"layer_norm_eps": 1e-12, "embedding_norm_eps": 1e-12, "head_norm_eps": 1e-12}
        config = kind.config_class(**TEXT | options | eps)
        with torch.no_grad():
            wanted = values_of(theirs(IDS, MASK, **SUBJECT))
            ours = kind(config).eval()
            state = {k: v for k, v in theirs.state_dict().items() if "position_ids" not in k}
            missing, unexpected = ours.load_state_dict(state, strict=False)
            assert not missing
            assert all("embed_positions" in key for key in unexpected)
            found = values_of(ours(IDS, MASK, **SUBJECT))
        for key, value in wanted.items():
            torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)


def test_several_heads_are_as_each_alone():
    several = build("genae_bert", "ForMultiTask")
    ids, mask = IDS, MASK
    with torch.no_grad():
        output = several(ids, mask, **SUBJECT)
        assert output.logits.keys() == SEVERAL.keys()
        decoded = several.decode(output, tags={"starts": [1]}, spans={"threshold": 1e9})
        assert all(path[0] == 1 for path in decoded["tags"])
        assert decoded["spans"] == [[], [], []]
        labels = {"mood": torch.tensor([0, 1, 0]), "answer": torch.tensor([[1, 2]] * 3)}
        losses = [several(ids, mask, labels={key: value}).loss for key, value in labels.items()]
        torch.testing.assert_close(several(ids, mask, labels=labels).loss, sum(losses))
        several.heads["mood"].settings.loss_weight = 3.0
        torch.testing.assert_close(
            several(ids, mask, labels=labels).loss, 3 * losses[0] + losses[1]
        )
    with pytest.raises(ValueError, match=r"mood, topics.*'moods'"):
        several(ids, labels={"moods": labels["mood"]})
    assert not hasattr(several, "transitions")  # each of its heads has some
    alone = build("genae_bert", "ForMEMMTokenClassification", {"tags": SEVERAL["tags"]})
    assert alone.transitions.shape == (2, 2)


@pytest.mark.parametrize(
    ("ending", "table", "labels"),
    [
        ("Sequence", {"kind": "classifier", "pooling": "mean"}, [0, 1, 0]),
        ("Sequence", {"kind": "classifier", "pooling": "pooler", "activation": "sigmoid"}, None),
        ("Sequence", {"kind": "classifier", "activation": "linear"}, None),
        ("Token", {"kind": "token_classifier", "loss": "focal"}, [[1] * 6 + [-100] * 2] * 3),
    ],
)
def test_a_classifier_reads_the_table_of_its_head(ending, table, labels):
    kind = getattr(zoo.models, f"GenaeBertFor{ending}Classification")
    model = kind(zoo.models.GenaeBertConfig(**TEXT, heads={"it": table})).eval()
    with torch.no_grad():
        model.classifier.weight.normal_()
    other = build("genae_bert", "ForMultiTask", {"it": table}, pooler=True)
    state = {
        key.replace("classifier", "heads.it.classifier"): v
        for key, v in model.state_dict().items()
    }
    kept = {key: value for key, value in state.items() if key in other.state_dict()}
    other.load_state_dict(kept)
    labels = torch.tensor(labels or [[1, 0], [0, 0], [1, 1]])
    with torch.no_grad():
        found = model(IDS, MASK, labels=labels)
        wanted = other(IDS, MASK, labels={"it": labels})
        torch.testing.assert_close(found.logits, wanted.logits["it"])
        torch.testing.assert_close(found.loss, wanted.loss)
        torch.testing.assert_close(model(IDS).logits, found.logits)
    assert model.decode(found, MASK) == other.decode(wanted)["it"]


def test_a_classifier_without_a_table_decodes_as_its_problem_says():
    config = zoo.models.GenaeBertConfig(**TEXT, problem_type="multi_label_classification")
    model = zoo.models.GenaeBertForSequenceClassification(config)
    scores = SimpleNamespace(logits=torch.tensor([[1.0, 2.0], [-1, 3], [-1, -2]]))
    assert model.decode(scores) == [[0, 1], [1], []]
    model.config.problem_type = None
    assert model.decode(scores) == [1, 1, 0]
    tagger = zoo.models.GenaeBertForTokenClassification(zoo.models.GenaeBertConfig(**TEXT))
    scores.logits = scores.logits[None]
    assert tagger.decode(scores) == [[1, 1, 0]]
    assert tagger.decode(scores, torch.tensor([[0, 1, 1]])) == [[1, 0]]
    table = {"it": {"kind": "classifier", "pooling": "pooler"}}
    config = zoo.models.GenaeBertConfig(**TEXT, pooler=False, heads=table)
    with pytest.raises(ValueError, match="pooler=True"):
        zoo.models.GenaeBertForSequenceClassification(config)


def test_labels_of_the_configuration_count():
    model = build("genae_bert", "ForEntityPointers", id2label={0: "person", 1: "place", 2: "time"})
    with torch.no_grad():
        output = model(IDS)
    assert output.logits.shape == (3, 3, 8, 8)
    assert {span[0] for row in model.decode(output) for span in row} == {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "ending", "heads", "message"),
    [
        ("genae_bert", "ForCRFTokenClassification", {"a": {"kind": "memm"}}, "kind crf.*a: memm"),
        ("genae_bert", "ForEntityPointers", SEVERAL, "one head.*ForMultiTask"),
        ("bert", "ForMultiTask", {"type": {"kind": "crf"}}, "'type' is taken"),
        ("bert", "ForMultiTask", {"a": {"kind": "crf", "b": 1}}, "'a' has no setting 'b'"),
        (
            "electra", "ForMultiTask", {"a": {"kind": "classifier", "pooling": "pooler"}},
            "ElectraModel has no pooler",
        ),
    ],
)  # fmt: skip
def test_heads_that_cannot_be_are_refused(name, ending, heads, message):
    with pytest.raises(ValueError, match=message):
        build(name, ending, heads)


def test_a_model_of_several_heads_needs_some():
    kind = zoo.models.GenaeBertForMultiTask
    with pytest.raises(ValueError, match="needs heads"):
        kind(kind.config_class(**TEXT))


def test_a_pooler_is_there_where_a_head_reads_it():
    table = {"mood": {"kind": "classifier", "pooling": "pooler"}}
    for name in ("bert", "genae_bert", "albert"):
        model = build(
            name, "ForMultiTask", table, **({} if name != "genae_bert" else {"pooler": True})
        )
        with torch.no_grad():
            hidden = model.base_model(IDS, attention_mask=MASK)
            logits = model(IDS, MASK).logits["mood"]
        torch.testing.assert_close(logits, model.heads["mood"].classifier(hidden.pooler_output))
        other = build(name, "ForCRFTokenClassification")
        assert other.base_model.pooler is None


def test_a_fresh_head_on_a_saved_backbone(tmp_path):
    backbone = zoo.models.GenaeBertModel(zoo.models.GenaeBertConfig(**TEXT))
    backbone.save_pretrained(tmp_path)
    kind = zoo.models.GenaeBertForHalfPointerRelations
    torch.manual_seed(3)
    model, report = kind.from_pretrained(tmp_path, num_labels=3, output_loading_info=True)
    assert {key.partition(".")[0] for key in report["missing_keys"]} == {"heads"}
    assert model.heads["relations"].object.out_features == 6
    norm = model.heads["relations"].norm
    assert not norm.condition_weight.weight.any()
    assert (norm.weight == 1).all()
    crf = zoo.models.BertForCRFTokenClassification(
        transformers.BertConfig(**TEXT, num_labels=9),
        heads={"tags": {"kind": "crf", "lr_multiplier": 100}},
    )
    assert 0.1 < crf.transitions.abs().max() <= (6 / 18) ** 0.5


@every_class
@pytest.mark.slow
def test_it_exports_for_any_batch_and_length(name, ending):
    if name == "synthesizer":
        name = "genae_bert"  # whose logits belong to positions
    model = build(name, ending)
    batch, length = (torch.export.Dim(word, min=2, max=16) for word in ("batch", "length"))
    shapes = {"input_ids": {0: batch, 1: length}, "attention_mask": {0: batch, 1: length}}
    given = {"input_ids": IDS, "attention_mask": MASK}
    exported = torch.export.export(model, (), given, dynamic_shapes=shapes, strict=False)
    other = {"input_ids": IDS[:2, :6], "attention_mask": MASK[:2, :6]}
    with torch.no_grad():
        found, wanted = values_of(exported.module()(**other)), values_of(model(**other))
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "ending", "others"),
    [("genae_bert", "ForCRFTokenClassification", "Model"), ("bert", "ForEntityPointers", "")],
)
def test_code_beside_the_weights_is_that_of_the_class(name, ending, others, tmp_path):
    model, entry = build(name, ending), BACKBONES[name]
    model.save_pretrained(tmp_path)
    assert has_code(tmp_path, entry)
    assert f"{entry.own_module.rpartition('.')[2]}.py" in add_code(tmp_path, entry)
    classes = read_config(tmp_path)["auto_map"]
    found = classes[catalog.HEADS[ending][0]].rpartition(".")[2]
    assert found == type(model).__name__
    assert ("AutoConfig" in classes) == entry.own
    if others:  # of other Auto classes the first
        assert classes["AutoModel"].endswith(f".GenaeBert{others}")


def test_a_class_of_ours_is_loaded_from_ours():
    for name in ("BertForEntityPointers", "GenaeNezhaForMultiTask"):
        how = advice.loading({"architectures": [name], "model_type": "bert"}, [])
        assert how.imports == (f"from zoo.models import {name}",)
        assert how.call("x") == f"{name}.from_pretrained(x)"
