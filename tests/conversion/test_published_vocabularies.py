"""Vocabularies as people have them: other names and places, blank, repeated, missing lines."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import transformers
from safetensors.numpy import load_file

import convert
from convert import tokenizers
from tests.conversion.records import LEGACY
from tests.conversion.spm_models import VARIANTS
from zoo.errors import IntegrityError, NotFoundError, UsageError

LINES = (LEGACY / "bert_full/vocab.txt").read_text("utf-8").split()
ROWS = len(LINES)


@pytest.fixture
def folder(tmp_path):
    """A checkpoint of BERT without its vocabulary."""
    made = tmp_path / "above" / "in"
    made.mkdir(parents=True)
    for file in (LEGACY / "bert_full").glob("b*"):
        shutil.copy(file, made)
    config = json.loads((made / "bert_config.json").read_text("utf-8"))
    exact = config | {"hidden_act": "gelu_erf"}  # of which nothing has to be said
    (made / "bert_config.json").write_text(json.dumps(exact), "utf-8")
    return made


def put(path, lines, end="\n"):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes((end.join(lines) + end).encode())
    return path


def bring_over(folder, vocab=None, **told):
    out = folder.parent / "out"
    shutil.rmtree(out, ignore_errors=True)
    report = convert.convert_checkpoint(folder, out, vocab=vocab, options=told)
    return report, transformers.AutoTokenizer.from_pretrained(out)


def ids_of(tokenizer, lines):
    return {token: tokenizer.convert_tokens_to_ids(token) for token in lines}


def notes_with(report, word):
    return [note for note in report.notes if word in note]


# Lines


def changed(**lines):
    """The recorded lines with others at some numbers, from 1: `l3="x"`."""
    made = list(LINES)
    for name, line in lines.items():
        made[int(name[1:]) - 1] = line
    return made


#: Lines of a vocabulary -> tokens that lie elsewhere or nowhere, and a word of the note.
UNUSUAL = {
    "one blank line": (changed(l41=""), {}, "line 41 is blank"),
    "two blank lines": (changed(l41="", l42=""), {}, "lines 41, 42 are blank"),
    "three, apart": (changed(l41="", l50=" \t ", l60="\u3000"), {}, "lines 41, 50, 60 are"),
    "a separator of lines": (changed(l41="\u2028"), {}, "line 41 is blank"),
    "other separators": (changed(l41="\x85", l42="\x1c", l43="\x0b"), {}, "41, 42, 43 are blank"),
    "one inside of a token": (changed(l41="x\u2028y"), {"x": 40}, None),
    "spaces around": ([f" {line}\t " for line in LINES], {}, None),
    "a token twice": (changed(l41="1"), {"1": 40}, "'1' in lines 11, 41"),
    "three times": (changed(l41="1", l42="1"), {"1": 41}, "'1' in lines 11, 41, 42"),
    "a special token twice": (changed(l41="[UNK]"), {"[UNK]": 40}, "'[UNK]' in lines 2, 41"),
    "a taken name": (changed(l41="1", l42="[unused1]"), {"1": 40, "[unused1]": 41}, "'1' in"),
    "tabs before": ([f"\t{line}" for line in LINES], {}, None),
    "counts": ([f"{line}\t{n * 7}" for n, line in enumerate(LINES)], {}, None),
    "ids": ([f"{line}\t{n}" for n, line in enumerate(LINES)], {}, None),
}


@pytest.mark.parametrize("case", UNUSUAL)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r\r\n", "\r"], ids=repr)
def test_ids_are_line_numbers(case, end, folder):
    lines, elsewhere, word = UNUSUAL[case]
    put(folder / "vocab.txt", lines, end)
    read = tokenizers.load_vocab(folder / "vocab.txt")
    assert len(read.tokens) == len(set(read.tokens)) == ROWS
    found = {token: number for number, token in enumerate(read.tokens)}
    words = [(line.split() or [""])[0] for line in lines]
    assert {w: found[w] for w in words} == {w: n for n, w in enumerate(words)}
    for token, number in elsewhere.items():
        assert found[token] == number
    assert [word in note for note in read.notes] == ([] if word is None else [True])


@pytest.mark.parametrize("case", ["two blank lines", "a special token twice", "a taken name"])
def test_a_tokenizer_has_these_ids(case, folder):
    lines, elsewhere, word = UNUSUAL[case]
    put(folder / "vocab.txt", lines)
    report, tokenizer = bring_over(folder)
    assert len(tokenizer) == ROWS
    wanted = {line: number for number, line in enumerate(lines) if line}
    assert ids_of(tokenizer, wanted) == wanted | elsewhere
    assert len(notes_with(report, word)) == 1
    named = {number for token, number in tokenizer.get_vocab().items() if "[unused" in token}
    assert named
    assert not named & set(tokenizer("[unused1] [unused2] 1 \u2028")["input_ids"])


def test_blank_last_lines_are_none(folder):
    put(folder / "vocab.txt", [*LINES, "", " ", "\u2028"])
    report, tokenizer = bring_over(folder)
    assert ids_of(tokenizer, LINES) == {line: n for n, line in enumerate(LINES)}
    assert notes_with(report, "3 blank lines at its end are no token")
    put(folder / "vocab.txt", LINES)
    report, _ = bring_over(folder)
    assert not notes_with(report, "blank")


def test_rows_behind_the_lines_are_padded(folder):
    lines = changed(l41="[unused7]")[:-2]
    put(folder / "vocab.txt", lines)
    report, tokenizer = bring_over(folder)
    assert ids_of(tokenizer, lines) == {line: n for n, line in enumerate(lines)}
    assert tokenizer.convert_ids_to_tokens([ROWS - 2, ROWS - 1]) == ["[unused8]", "[unused9]"]
    assert len(tokenizer) == ROWS
    (note,) = notes_with(report, "pad the table")
    assert f"vocab.txt has {ROWS - 2} tokens, the checkpoint {ROWS} rows" in note
    assert "[unused8] to [unused9]" in note


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["", *LINES], rf"has {ROWS + 1} tokens, .* rows of embeddings \(.*line 1 is blank"),
        ([*LINES, "more"], f"has {ROWS + 1} tokens, the checkpoint {ROWS} rows .*--vocab FILE"),
        (LINES[: ROWS // 3], f"has {ROWS // 3} tokens, the checkpoint {ROWS} rows"),
        (changed(l2="<unk>"), r"none of its .* lines is \[UNK\].*has '<unk>'"),
        ([f"{t}\t{(n + 5) % ROWS}" for n, t in enumerate(LINES)], "line 1 has 5.; sort the lines"),
        (["version https://git-lfs.github.com/spec/v1", "size 9"], "Git LFS pointer"),
    ],
)
def test_what_is_no_vocabulary_of_this_checkpoint(lines, message, folder):
    put(folder / "vocab.txt", lines)
    with pytest.raises(IntegrityError, match=message):
        bring_over(folder)
    assert not (folder.parent / "out").exists()
    report = convert.convert_checkpoint(folder, folder.parent / "out", vocab="none")
    assert notes_with(report, "no vocabulary was asked for")


def table(folder):
    with convert.open_checkpoint(folder) as checkpoint:
        return checkpoint["bert/embeddings/word_embeddings"].numpy()


def rows_of(out):
    return load_file(out / "model.safetensors")["bert.embeddings.word_embeddings.weight"]


def test_kept_tokens_of_a_padded_vocabulary_with_repeats(folder):
    lines = changed(l41="1", l42="", l43="")[:-2]
    put(folder / "vocab.txt", lines)
    keep = [0, 1, 2, 3, 10, 40, 41, 42, 50, ROWS - 1]
    _, tokenizer = bring_over(folder, keep_tokens=keep)
    tokens = tokenizer.convert_ids_to_tokens(range(len(keep)))
    assert tokens[:4] + tokens[5:6] + tokens[7:9] == [*LINES[:4], "1", "", LINES[50]]
    assert len(set(tokens)) == len(keep)
    assert np.array_equal(rows_of(folder.parent / "out"), table(folder)[keep])


def test_a_vocabulary_that_was_cut_down_already(folder):
    keep = [0, 1, 2, 3, 4, 70, 71, 30, 20]
    put(folder / "vocab.txt", [LINES[number] for number in keep])
    report, tokenizer = bring_over(folder, keep_tokens=keep)
    assert tokenizer.convert_ids_to_tokens(range(len(keep))) == [LINES[n] for n in keep]
    assert notes_with(report, "cut down already")


def test_simplified_leaves_out_rows_without_a_token(folder):
    """As bert4keras, of which the ids are those of the lines."""
    lines = changed(l41="1", l42="天气", l43="##机")[:-2]
    put(folder / "vocab.txt", lines)
    _, tokenizer = bring_over(folder, simplified=True)
    special = LINES[:4]
    wanted = [
        n for n, line in enumerate(lines) if n > 3 and line[0] != "[" and n not in (10, 41, 42)
    ]
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    assert tokens == [*special, *(lines[n] for n in wanted)]
    assert np.array_equal(rows_of(folder.parent / "out"), table(folder)[[0, 1, 2, 3, *wanted]])


@pytest.mark.parametrize("to", ["tf-checkpoint", "keras-hdf5"])
def test_the_way_back_has_a_line_for_each_row(to, folder, tmp_path):
    put(folder / "vocab.txt", changed(l41="1", l42="", l43="")[:-2])
    _, tokenizer = bring_over(folder)
    convert.export_checkpoint(folder.parent / "out", tmp_path / "back", to=to)
    found = tokenizers.load_vocab(tmp_path / "back/vocab.txt")
    assert found.tokens == tokenizer.convert_ids_to_tokens(range(ROWS))


# Names and places


@pytest.mark.parametrize(
    "name",
    [
        *("vocab_chinese.txt", "bert-base-chinese-vocab.txt", "chinese_vocab.txt", "vocab"),
        *("clue-vocab.TXT", "Vocab.txt", "bert.vocab", "dict.txt", "assets/vocab.txt"),
        *("../vocab.txt", "../assets/my_vocab.txt", "vocab.txt.1", "vocab (1).txt"),
    ],
)
def test_other_names_and_places(name, folder):
    put(folder / name, LINES)
    report, tokenizer = bring_over(folder)
    assert ids_of(tokenizer, LINES) == {line: n for n, line in enumerate(LINES)}
    assert len(notes_with(report, "vocabulary: ")) == 1
    assert report.warnings == []
    assert convert.inspect(folder).notes == report.notes


def test_the_assets_of_a_saved_model(folder):
    """A checkpoint given by itself, or its model's folder."""
    for file in folder.glob("bert_model.ckpt.*"):
        name = file.name.replace("bert_model.ckpt", "variables")
        (folder / "variables").mkdir(exist_ok=True)
        file.rename(folder / "variables" / name)
    put(folder / "assets/vocab.txt", LINES)
    config = folder / "bert_config.json"
    for source in (folder, folder / "variables/variables"):
        out = folder.parent / f"out of {source.name}"
        report = convert.convert_checkpoint(source, out, config=config)
        assert {"tokenizer.json", "vocab.txt"} <= set(report.files)


def test_a_vocabulary_beside_the_archive(folder):
    with zipfile.ZipFile(folder.parent / "bert.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
        archive.write(put(folder.parent / "other", OTHER), "other/vocab_a.txt")
    (folder.parent / "other").unlink()
    put(folder.parent / "vocab.txt", LINES)
    source, out = folder.parent / "bert.zip", folder.parent / "out"
    report = convert.convert_checkpoint(source, out)
    assert (out / "vocab.txt").read_text("utf-8").split() == LINES
    inner = f"{source}!other/vocab_a.txt"
    report = convert.convert_checkpoint(source, folder.parent / "second", vocab=inner)
    assert notes_with(report, "vocabulary: vocab_a.txt, as given")


def test_a_vocabulary_is_found_where_its_size_is_not_known(folder):
    assert tokenizers.find_vocabulary(folder) is None
    other = put(folder / "vocab_chinese.txt", LINES)
    assert tokenizers.find_vocabulary(folder) == other
    put(folder / "vocab.txt", LINES[::-1])
    assert tokenizers.find_vocabulary(folder) == folder / "vocab.txt"
    assert tokenizers.find_vocabulary(folder, sizes=[ROWS + 900]) == folder / "vocab.txt"


# Several of them

OTHER = changed(l50="another")


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ({"vocab.txt": LINES, "vocab_small.txt": LINES[:60]}, "vocab.txt"),
        ({"vocab.txt": [*LINES, "more"], "vocab_mine.txt": LINES}, "vocab_mine.txt"),
        ({"vocab.txt": LINES[:20], "vocab_mine.txt": LINES[:-2]}, "vocab_mine.txt"),
        ({"vocab.txt": LINES, "vocab_copy.txt": LINES}, "vocab.txt"),
        ({"vocab.txt": LINES, "t5.model": VARIANTS["t5"]}, "vocab.txt"),
        ({"vocab.txt": LINES, "best.model": b"\x89HDF\r\n\x1a\n"}, "vocab.txt"),
        (
            {"vocab.txt": LINES, "._vocab.txt": OTHER, "vocab_of_labels.txt": ["B", "I"]},
            "vocab.txt",
        ),
        ({"a_vocab.txt": LINES, "b_vocab.txt": LINES[:-1]}, "a_vocab.txt"),
        ({"a_vocab.txt": LINES, "../vocab.txt": OTHER}, "a_vocab.txt"),
        ({"vocab.txt": LINES, "vocab.txt.bak": OTHER}, "vocab.txt"),
        ({"vocab.txt": LINES, "assets/vocab.txt": OTHER}, "vocab.txt"),
    ],
)
def test_of_several_the_size_decides(files, taken, folder):
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            put(folder / name, content)
    report, tokenizer = bring_over(folder)
    wanted = {line: n for n, line in enumerate(files[taken])}
    assert ids_of(tokenizer, wanted) == wanted
    named = notes_with(report, "because the checkpoint has")
    assert [f"vocabulary: {taken} " in note for note in named] == [True] * len(named)


def test_where_no_size_decides_the_file_is_named(folder, tmp_path):
    put(folder / "vocab.txt", LINES)
    put(folder / "vocab_entity.txt", OTHER)
    with pytest.raises(
        UsageError, match=r"several .*: vocab.txt, vocab_entity.txt; .*--vocab FILE"
    ):
        bring_over(folder)
    for path, lines in (
        (folder / "vocab_entity.txt", OTHER),
        (put(tmp_path / "far/of.any.name", LINES), LINES),
        (put(tmp_path / "far/short.txt", LINES[:20]), LINES[:20]),
    ):
        report, tokenizer = bring_over(folder, vocab=path)
        assert ids_of(tokenizer, lines) == {line: n for n, line in enumerate(lines)}
        assert notes_with(report, f"vocabulary: {path.name}, as given")
    report, _ = bring_over(folder, vocab=str(folder / "vocab.txt"), simplified=True)
    with pytest.raises(NotFoundError, match=r"absent.txt does not exist"):
        bring_over(folder, vocab=folder / "absent.txt")
    assert notes_with(bring_over(folder, vocab="vocab_entity.txt")[0], "vocab_entity.txt, as")
    assert bring_over(folder, vocab=put(tmp_path / "b/vocab.txt", LINES).parent)[0].files
    with pytest.raises(UsageError, match="several vocabularies"):
        bring_over(folder, vocab=folder)
    with pytest.raises(NotFoundError, match="contains no vocabulary"):
        bring_over(folder, vocab=tmp_path / "above")


def test_what_looks_like_a_vocabulary_is_named(folder):
    put(folder / "vocab_of_characters.txt", LINES[:9])
    put(folder.parent / "vocab.txt", LINES[:-1])
    (folder / "vocab.json").write_text(json.dumps({"a": 0}))
    report = convert.convert_checkpoint(folder, folder.parent / "out")
    assert [warning in report.notes for warning in report.warnings] == [True] * 3
    first, second, third = report.warnings
    assert first.startswith("vocab_of_characters.txt looks like a vocabulary")
    assert f"it has 9 tokens; the checkpoint has {ROWS} rows" in first
    assert "../vocab.txt" in second
    assert third.startswith("vocab.json looks like a vocabulary")
    assert all("--vocab FILE" in warning for warning in report.warnings)
    assert notes_with(report, "the result has no tokenizer")


def test_why_something_is_not_taken_is_said(folder):
    put(folder / "vocab_chinese.txt", ["version https://git-lfs.github.com/spec/v1", "size 9"])
    (folder / "vocab.txt").symlink_to(folder / "blobs/0")
    put(folder / "vocab.txt.crdownload", LINES)
    (folder / "vocab.txt.gz").write_bytes(b"\x1f\x8b")
    put(folder / "labels.txt", ["B-ORG", "I-ORG"])
    report = convert.convert_checkpoint(folder, folder.parent / "out")
    words = ("Git LFS pointer", "a link to", "unfinished download", "unpacked")
    assert [w in warning for w, warning in zip(words, report.warnings, strict=True)] == [True] * 4
    for path in folder.glob("*vocab*"):
        path.unlink()
    put(folder / "spm.vocab", ["[UNK]\t0", *(f"▁{n}\t-{n}" for n in range(ROWS - 1))])
    report = convert.convert_checkpoint(folder, folder.parent / "second")
    assert ["spm.vocab looks" in warning for warning in report.warnings] == [True]
    put(folder / "vocab.txt", LINES)
    put(folder / "label_vocab.txt", ["B", "I"])
    assert bring_over(folder)[0].warnings == []


@pytest.mark.parametrize(
    ("lines", "word"), [((3,), r"no [CLS]:"), ((3, 4), "no [CLS] and no [SEP]:")]
)
def test_a_vocabulary_without_special_tokens_is_noted(folder, lines, word):
    put(folder / "vocab.txt", changed(**{f"l{n}": f"x{n}" for n in lines}))
    report, tokenizer = bring_over(folder)
    assert len(notes_with(report, f"vocab.txt has {word} the tokenizer puts no special")) == 1
    assert len(tokenizer("1 2")["input_ids"]) == 2


def test_the_list_beside_a_sentencepiece_model_is_told_as_such(folder):
    lines = ["<unk>", "<s>", *(f"▁{n}\t{-n}" for n in range(ROWS - 2))]
    put(folder / "30k-clean.vocab", lines)
    report = convert.convert_checkpoint(folder, folder.parent / "out")
    (note,) = notes_with(report, "is not taken")
    assert "whose .model file is read; give that with --vocab FILE" in note
    with pytest.raises(IntegrityError, match=r"whose \.model file is read; give that"):
        bring_over(folder, vocab=folder / "30k-clean.vocab")
