"""Known releases: recognised where the files tell them, never picked out of several."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

import convert
from convert import families, published
from convert.published import Release
from tests.conversion.records import FIXTURES, LEGACY
from zoo.cli import app
from zoo.errors import UsageError

SHARED = FIXTURES.parents[2] / "shared/data/published"
wider = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the files of published releases")


def digest(path):
    return sha256(path.read_bytes()).hexdigest()


def row(name, fixture="albert", **more):
    """A release with the vocabulary and sizes of a fixture."""
    said = json.loads((LEGACY / fixture / "fixture.json").read_text("utf-8"))
    size = said["effective"]
    vocabulary = LEGACY / fixture / "vocab.txt"
    facts = {
        "where": f"somebody/{name}",
        "gelu": "tanh",
        "gelu_source": "said so",
        "lower_case": True,
        "family": said["model"],
        "vocabulary": (digest(vocabulary),) if vocabulary.is_file() else (),
        "rows": size["vocab_size"],
        "sizes": ({"hidden": size["hidden_size"], "layers": size["num_hidden_layers"]},),
    }
    return Release(name, **(facts | more))


@pytest.fixture
def table(monkeypatch):
    """`table(rows)`: the only releases that are known."""
    return lambda *rows: monkeypatch.setattr(published, "releases", lambda: rows)


def bring_over(fixture, out, file="bert_model.ckpt", **more):
    report = convert.convert_checkpoint(LEGACY / fixture / file, out, **more)
    return report, json.loads((out / "config.json").read_text("utf-8"))


def test_a_release_is_recognised_and_its_facts_are_taken(table, tmp_path):
    table(row("it"), row("other", "bert_full"))
    report, config = bring_over("albert", tmp_path / "out")
    assert config["hidden_act"] == "gelu_pytorch_tanh"
    assert not report.warnings
    assert report.release == {
        "names": ["it"],
        "by": "vocabulary and sizes",
        "facts": {"gelu": "tanh", "do_lower_case": True},
    }
    written = json.loads((tmp_path / "out/conversion.json").read_text("utf-8"))
    assert written["release"] == report.release
    assert {"gelu", "do_lower_case"}.isdisjoint(report.defaults)
    said = next(note for note in report.notes if "recognised" in note)
    assert "it (github.com/somebody/it)" in said
    assert "gelu=tanh" in said


def test_what_a_person_gives_stands_before_what_is_known(table, tmp_path):
    table(row("it"))
    report, config = bring_over("albert", tmp_path / "out", options={"gelu": "erf"})
    assert config["hidden_act"] == "gelu"
    assert "gelu=" not in next(note for note in report.notes if "recognised" in note)


def test_of_several_only_what_they_agree_on_is_taken(table, tmp_path):
    table(row("one"), row("two", gelu="erf"), row("three", gelu="unknown"))
    report, config = bring_over("albert", tmp_path / "out")
    assert config["hidden_act"] == "gelu"
    assert report.release["names"] == ["one", "two", "three"]
    assert report.release["facts"] == {"do_lower_case": True}
    (warning,) = report.warnings
    assert "one (tanh), two (erf), three (unknown): --as NAME" in warning
    report, config = bring_over("albert", tmp_path / "named", release="ONE")
    assert config["hidden_act"] == "gelu_pytorch_tanh"
    assert not report.warnings
    assert report.release["by"] == "its name"


def test_an_electra_is_no_release_of_files_that_are_not(table, tmp_path):
    # ELECTRA's encoder is a BERT's under names of its own, with Google's vocabulary and sizes.
    table(row("it", "bert_full"), row("another", "bert_full", family="electra", gelu="erf"))
    report, config = bring_over("bert_full", tmp_path / "out")
    assert report.release["names"] == ["it"]
    assert config["hidden_act"] == "gelu_pytorch_tanh"


@pytest.mark.parametrize("named", [True, False])
def test_what_is_said_of_a_release_whose_gelu_nobody_stated(named, table, tmp_path):
    table(row("it", gelu="unknown", gelu_source="tanh is likely"))
    report, config = bring_over("albert", tmp_path / "out", release="it" if named else None)
    assert config["hidden_act"] == "gelu"
    (warning,) = report.warnings
    assert warning.endswith("Of it: tanh is likely")
    assert "--as" not in warning


def test_a_vocabulary_of_other_sizes_tells_the_casing_alone(table, tmp_path):
    table(row("it", sizes=({"hidden": 4000, "layers": 3},), options={"with_pool": "linear"}))
    report, config = bring_over("albert", tmp_path / "out")
    assert report.release["facts"] == {"do_lower_case": True}
    assert report.release["by"] == "vocabulary"
    assert config["hidden_act"] == "gelu"
    assert report.warnings


def test_the_index_tells_a_release_of_many_alike(table, tmp_path):
    index = digest(LEGACY / "albert/bert_model.ckpt.index")
    table(row("one", gelu="erf"), row("two", index=(index,)))
    report, config = bring_over("albert", tmp_path / "out")
    assert (report.release["names"], report.release["by"]) == (["two"], "its index")
    assert config["hidden_act"] == "gelu_pytorch_tanh"


def test_a_configuration_that_is_not_the_release_s_is_doubted(table, tmp_path):
    index = digest(LEGACY / "albert/bert_model.ckpt.index")
    table(row("it", index=(index,), sizes=({"hidden": 24, "layers": 7},), gelu="none"))
    report, _ = bring_over("albert", tmp_path / "out")
    assert any("layers is 7 there and 3 here" in warning for warning in report.warnings)
    table(row("it", gelu="none", activation="relu"))
    report, _ = bring_over("albert", tmp_path / "other")
    assert any("hidden_act is gelu in the configuration and relu" in w for w in report.warnings)


@pytest.mark.parametrize("named", [True, False])
def test_of_two_configurations_the_published_one_is_taken(named, table, tmp_path):
    """An ALBERT's layers are one: its tensors do not tell how many there are."""
    source = tmp_path / "in"
    shutil.copytree(LEGACY / "albert", source)
    config = json.loads((source / "bert_config.json").read_text("utf-8"))
    (source / "albert_config_a.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    (source / "bert_config.json").rename(source / "albert_config_b.json")
    index = source / "bert_model.ckpt.index"
    table()
    assert "num_hidden_layers is 1 in the first and 3" in convert.inspect(index).missing[0]
    table(row("it", index=() if named else (digest(index),)))
    out = tmp_path / "out"
    report = convert.convert_checkpoint(index, out, release="it" if named else None)
    assert report.config["num_hidden_layers"] == 3
    assert not report.warnings


def test_layers_that_keras_saved_keep_bert4keras_s_gelu(table, tmp_path):
    table(row("it"))
    report, config = bring_over("albert", tmp_path / "out", "model.weights")
    assert config["hidden_act"] == "gelu"
    assert report.release["names"] == ["it"]
    (warning,) = report.warnings
    assert "--option gelu=tanh, in which it was trained" in warning
    report, config = bring_over("albert", tmp_path / "named", "model.weights", release="it")
    assert config["hidden_act"] == "gelu_pytorch_tanh"


def test_line_ends_do_not_hide_a_vocabulary(table, tmp_path):
    table(row("it"))
    source = tmp_path / "in"
    shutil.copytree(LEGACY / "albert", source)
    text = (source / "vocab.txt").read_bytes().replace(b"\n", b"\r\n")
    (source / "vocab.txt").write_bytes(b"\xef\xbb\xbf" + text)
    assert convert.inspect(source / "bert_model.ckpt.index").release["names"] == ["it"]


def test_a_family_is_recognised_by_a_vocabulary_of_its_own(table, tmp_path):
    source = LEGACY / "nezha/bert_model.ckpt"
    table(row("it", "nezha", gelu="erf"))
    assert convert.inspect(source).families == ["nezha"]
    # One that several families share does not tell it.
    table(row("it", "nezha", gelu="erf"), row("more", "nezha", family="bert"))
    found = convert.inspect(source)
    assert set(found.families) == {"nezha", "roformer"}
    assert found.release["names"] == ["it"]
    assert any("those of it, which --as NAME says" in line for line in found.missing)
    assert convert.inspect(source, release="it").families == ["nezha"]


def test_a_named_release_gives_options_words_and_semantics(table, tmp_path):
    table(row("it", "t5_v1_1", options={"semantics": "bert4keras"}, gelu="erf"))
    report, config = bring_over("t5_v1_1", tmp_path / "out", release="it")
    assert config["model_type"] == "genae_t5"
    table(row("it", "simbert", options={"with_pool": "linear", "application": "unilm"}))
    report, config = bring_over("simbert", tmp_path / "sim", release="it")
    assert (config["pooler_act"], config["attention_mask_kind"]) == ("linear", "prefix")
    table(row("it", "roformer", words="jieba"))
    report, _ = bring_over("roformer", tmp_path / "words", release="it")
    assert report.options["pre_tokenize"] == "jieba"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rows": 76}, "vocab is 76 there and 75 here"),
        ({"sizes": ({"hidden": 768, "layers": 12},)}, "hidden is 768 there and 24 here"),
        ({"activation": "relu", "gelu": "none"}, "hidden_act is relu there and gelu here"),
        ({"family": "electra"}, r"its family is electra, of which these tensors are not \(albert"),
    ],
)
def test_files_that_are_not_of_the_named_release_are_refused(more, words, table, tmp_path):
    table(row("it", **more))
    with pytest.raises(UsageError, match=words) as caught:
        bring_over("albert", tmp_path / "out", release="it")
    assert "--as it" in str(caught.value)
    assert not list(tmp_path.iterdir())
    found = convert.inspect(LEGACY / "albert/bert_model.ckpt", release="it")
    assert (found.exit_code, found.missing) == (2, [str(caught.value)])


@pytest.mark.parametrize(
    ("name", "family", "words"),
    [
        ("chinese_L-12_H-768_A12", None, "Did you mean 'chinese_L-12_H-768_A-12'"),
        ("x", None, "genae inspect --known"),
        ("chinese_xlnet", None, "bert4keras has no XLNet"),
        ("NEZHA-Base", "bert", "--family says bert"),
    ],
)
def test_names_that_mean_nothing_are_refused(name, family, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        bring_over("albert", tmp_path / "out", release=name, family=family)
    assert not list(tmp_path.iterdir())


def test_a_part_of_a_name_leads_to_the_name():
    with pytest.raises(UsageError, match=r"Did you mean 'chinese_L-12_H-768_A-12'\?"):
        published.find("chinese_L-12")
    with pytest.raises(UsageError, match=r"as 'bert'\. `genae inspect --known` lists them"):
        published.find("bert")


def test_one_of_the_24_small_berts_has_its_own_sizes():
    release = published.find("uncased_L-4_H-256_A-4")
    assert release.sizes == ({"hidden": 256, "layers": 4, "heads": 4},)
    assert release.gelu == "tanh"
    assert published.find("uncased_L-12_H-768_A-12").gelu == "erf"


def test_the_command_lists_them_and_takes_one_by_name(table, tmp_path, capsys):
    app(["inspect", "--known"], standalone_mode=False)
    said = capsys.readouterr().out
    assert all(one.name in said for one in published.releases())
    assert "https://github.com/google-research/bert" in said
    app(["inspect", "--known", "--json"], standalone_mode=False)
    listed = json.loads(capsys.readouterr().out)
    assert listed == convert.known_releases()
    table(row("it"))
    source, out = str(LEGACY / "albert/bert_model.ckpt"), str(tmp_path / "out")
    app(["convert", source, out, "--as", "it", "-q"], standalone_mode=False)
    assert capsys.readouterr().err == ""
    app(["inspect", source, "--as", "it"], standalone_mode=False)
    said = capsys.readouterr()
    assert "it (by its name)" in said.out
    assert "OUT --as it" in said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("export", "A", "B", "--to", "tf-checkpoint", "--as", "x"), "No such option: --as"),
        (("convert", "--known"), "No such option: --known"),
        (("inspect",), "genae inspect --known"),
    ],
)
def test_what_goes_with_it_and_what_not(words, message, capsys):
    with pytest.raises(SystemExit) as end:
        app(list(words))
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_every_row_is_whole():
    found = published.releases()
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert one.gelu in ("erf", "tanh", "none", "unknown")
        assert (one.gelu == "none") == (one.activation != "gelu")
        assert all(len(text) == 64 for text in (*one.vocabulary, *one.index))
        assert not one.also or len(one.also) == len(one.sizes)
        if one.family:
            family = families.find(one.family)
            known = {*family.options, "segment_vocab_size"}
            assert {*one.facts(Path("vocab.txt"))} <= known
        assert one.family or one.note


@wider
def test_the_table_says_what_the_facts_say():
    table = {one.name: one for one in published.releases()}
    facts = {
        key.split()[0].rstrip(","): fact
        for file in ("facts.json", "facts_only.json")
        for key, fact in json.loads((SHARED / file).read_text("utf-8")).items()
    }
    assert {*facts} <= {*table}
    for name, fact in facts.items():
        one = table[name]
        assert one.lower_case == fact["do_lower_case"], name
        word = fact["gelu"].split()[0].rstrip(",:")
        alone = fact["gelu"] in ("erf", "tanh")
        assert one.gelu == (word if alone or word == "none" else "unknown"), name
        if fact["bert4keras_model"].startswith("none"):
            assert one.name in ("chinese_xlnet", "albert_large_zh_brightmart")
        elif name != "chinese_GAU-alpha-char_L-24_H-768":
            assert fact["bert4keras_model"].split()[0].rstrip(",") == one.family, name
        if "embedding_rows_in_checkpoint" in fact:
            assert one.rows == fact["embedding_rows_in_checkpoint"], name
        if "word_segmentation" in fact:
            assert bool(one.words) == fact["word_segmentation"].startswith("jieba"), name
        for file, said in fact.get("files", {}).items():
            if file.endswith(".index"):
                assert said["sha256"] in one.index, name
            if file.endswith(("vocab.txt", "vocab_chinese.txt", ".model")):
                assert said["sha256"] in one.vocabulary, name
            if file.endswith("config.json") and one.sizes:
                config = json.loads((SHARED / name / file).read_text("utf-8"))
                sizes = {"hidden": config.get("hidden_size", config.get("d_model"))}
                sizes["layers"] = config.get("num_hidden_layers", config.get("num_layers"))
                sizes["heads"] = config.get("num_attention_heads", config.get("num_heads"))
                sizes = {word: size for word, size in sizes.items() if size is not None}
                assert one.has(sizes), (name, file)


@wider
@pytest.mark.parametrize("name", ["albert_tiny_google_zh_489k_bojone", "albert_base_zh_google"])
def test_published_indexes_are_recognised(name, tmp_path):
    source = tmp_path / name
    shutil.copytree(SHARED / name, source)
    index = next(source.glob("*.index"))
    fact = json.loads((SHARED / "facts.json").read_text("utf-8"))[name]["files"][index.name]
    with open(index.with_suffix(".data-00000-of-00001"), "wb") as data:
        data.truncate(fact["bytes_of_data"])
    found = convert.inspect(index)
    assert (found.release["names"], found.release["by"]) == ([name], "its index")
    assert found.exit_code == 0
