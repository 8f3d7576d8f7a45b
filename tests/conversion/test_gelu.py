"""What a plain gelu means: told by the files or asked about, and seen by whoever is quiet."""

import json
import shutil
from pathlib import Path

import pytest

import convert
from convert import gelu
from convert.families import FAMILIES
from tests.conversion.records import LEGACY
from zoo.cli import app
from zoo.errors import ToleranceError

README = Path(convert.__file__).with_name("README.md")
OF_GOOGLE = {"num_hidden_groups": 1, "net_structure_type": 0, "gap_size": 0, "inner_group_num": 1}


def copy_of(name, to, **keys):
    """A fixture's files, with keys added to its configuration."""
    shutil.copytree(LEGACY / name, to)
    path = to / "bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | keys), "utf-8")
    return to


def bring_over(source, out, file="bert_model.ckpt", **more):
    report = convert.convert_checkpoint(source / file, out, **more)
    config = json.loads((out / "config.json").read_text("utf-8"))
    return report, config.get("hidden_act", config.get("activation_function"))


@pytest.mark.parametrize(
    ("name", "keys", "function", "said"),
    [
        ("bert_full", {}, "gelu", "Google's models of 2018 are erf"),
        ("albert", {}, "gelu", "Google's ALBERT, and brightmart's, is the tanh form"),
        ("albert", OF_GOOGLE, "gelu_pytorch_tanh", "Google's ALBERT computes tanh"),
        ("nezha", {}, "gelu", "Huawei's NEZHA is the tanh form"),
        ("nezha", {"use_relative_position": False}, "gelu", "Huawei's NEZHA is the tanh form"),
        ("nezha", {"use_relative_position": True}, "gelu_pytorch_tanh", "Huawei's NEZHA"),
        ("gpt2", {}, "gelu", "CPM's own code"),
    ],
)
def test_both_truths_are_named_where_files_do_not_prove_one(name, keys, function, said, tmp_path):
    source = copy_of(name, tmp_path / "in", **keys)
    family = json.loads((LEGACY / name / "fixture.json").read_text())["model"]
    report, found = bring_over(source, tmp_path / "out", family=family)
    assert found == function
    (warning,) = report.warnings
    assert said in warning
    assert "set_gelu('tanh')" in warning
    assert all(f"--option gelu={form}" in warning for form in ("erf", "tanh"))
    assert warning in report.notes
    assert report.defaults["gelu"] == ("erf" if function == "gelu" else "tanh")
    assert warning in (tmp_path / "out/README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "file", "keys"),
    [
        ("bert_full", "model.weights", {}),
        ("albert", "model.weights", OF_GOOGLE),
        ("nezha", "model.weights", {"use_relative_position": True}),
        ("electra", "bert_model.ckpt", {}),
        ("gpt2_ml", "bert_model.ckpt", {}),
        ("roformer", "bert_model.ckpt", {}),
        ("bert_full", "bert_model.ckpt", {"model_type": "bert"}),
    ],
)
def test_what_the_files_tell_is_no_more_than_a_note(name, file, keys, tmp_path):
    source = copy_of(name, tmp_path / "in", **keys)
    family = json.loads((LEGACY / name / "fixture.json").read_text())["model"]
    report, found = bring_over(source, tmp_path / "out", file, family=family)
    assert found == "gelu"
    assert not report.warnings
    assert any("gelu is taken in its erf form" in note for note in report.notes)


@pytest.mark.parametrize(("form", "function"), [("erf", "gelu"), ("tanh", "gelu_pytorch_tanh")])
@pytest.mark.parametrize("keys", [{}, OF_GOOGLE])
def test_an_option_decides_and_ends_the_warning(form, function, keys, tmp_path):
    source = copy_of("albert", tmp_path / "in", **keys)
    report, found = bring_over(source, tmp_path / "out", options={"gelu": form})
    assert found == function
    assert not report.warnings
    assert not any("gelu is taken" in note for note in report.notes)


@pytest.mark.parametrize("act", ["relu", "gelu_new", "gelu_erf"])
def test_nothing_is_said_where_no_plain_gelu_is(act, tmp_path):
    source = copy_of("albert", tmp_path / "in", hidden_act=act)
    report, _ = bring_over(source, tmp_path / "out")
    assert not report.warnings
    assert not any("gelu is taken" in note for note in report.notes)


@pytest.mark.parametrize("words", [("-q",), (), ("-q", "--json"), ("--json",)])
def test_the_warning_is_seen_with_quiet_too(words, tmp_path, capsys):
    source = LEGACY / "albert/bert_model.ckpt.index"
    app(["convert", str(source), str(tmp_path / "out"), *words], standalone_mode=False)
    said = capsys.readouterr()
    assert "gelu is taken in its erf form" in said.err
    if "--json" in words:
        assert len(json.loads(said.out)["warnings"]) == 1


def test_a_check_has_the_form_that_a_conversion_takes(tmp_path):
    source = copy_of("albert", tmp_path / "in", **OF_GOOGLE)
    found = convert.inspect(source / "bert_model.ckpt")
    assert found.defaults["gelu"] == "tanh"
    report, _ = bring_over(source, tmp_path / "out")
    assert report.warnings[0] in found.notes


@pytest.mark.parametrize(("name", "told"), [("t5_v1_1", {}), ("albert", {"hidden_act": "relu"})])
def test_a_default_that_decides_nothing_is_not_listed(name, told, tmp_path):
    source = LEGACY / name
    report = convert.convert_checkpoint(source / "bert_model.ckpt", tmp_path / "out", options=told)
    assert "gelu" not in report.defaults


def test_a_check_says_it_as_well():
    found = convert.inspect(LEGACY / "albert/bert_model.ckpt.index")
    assert any("--option gelu=tanh" in note for note in found.notes)


@pytest.mark.parametrize("told", [{}, {"gelu": "erf"}])
def test_where_outputs_differ_the_other_form_is_tried_and_named(told, tmp_path):
    source = LEGACY / "bert_gelu_tanh"
    with pytest.raises(ToleranceError, match="With --option gelu=tanh they agree"):
        bring_over(source, tmp_path / "out", options=told, verify=source / "reference.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("act", ["relu", "gelu_erf"])
def test_nothing_is_advised_where_the_other_form_is_wrong_as_well(act, tmp_path):
    source = copy_of("bert_gelu_tanh", tmp_path / "in", hidden_act=act)
    with pytest.raises(ToleranceError, match="Were the model's options given"):
        bring_over(source, tmp_path / "out", verify=source / "reference.npz")


@pytest.mark.parametrize(
    ("name", "keys"), [("albert", OF_GOOGLE), ("nezha", {"use_relative_position": True})]
)
def test_a_record_says_more_than_a_key_of_the_configuration(name, keys, tmp_path):
    source = copy_of(name, tmp_path / "in", **keys)
    family = json.loads((LEGACY / name / "fixture.json").read_text())["model"]
    reference = source / "reference.npz"
    report, found = bring_over(source, tmp_path / "out", family=family, verify=reference)
    assert found == "gelu"
    assert all(one.ok for one in report.parity)
    assert report.options["gelu"] == report.defaults["gelu"] == "erf"
    (warning,) = report.warnings
    assert "the recorded outputs are those of gelu=erf" in warning
    assert not any("gelu is taken" in note for note in report.notes)


def test_every_family_has_a_row_and_the_readme_has_the_table():
    asked = [one.name for one in FAMILIES if "semantics" not in one.options]
    for name in asked:
        assert any(name in one.families and not one.keys for one in gelu.SOURCES), name
    text = README.read_text("utf-8")
    shown = text.partition("<!-- gelu:begin -->\n")[2].partition("\n<!-- gelu:end -->")[0]
    assert shown == "\n".join(gelu.table())
