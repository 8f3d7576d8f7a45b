"""Folders and archives as people have them: other machines' paths, clutter, what is no file."""

import io
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

import convert
from convert.readers.contents import what_is
from convert.readers.locating import locate
from tests.conversion.bundles import write_bundle
from tests.conversion.makers import write_v1
from tests.conversion.records import LEGACY
from tests.weights import content
from zoo.errors import (
    GenaeError,
    IntegrityError,
    MissingDependencyError,
    NotFoundError,
    UsageError,
)
from zoo.header import safetensors_header

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 411577620\n"
#: What comes in place of a file, and a word of what is said about it.
IMPOSTORS = {
    "pointer": (POINTER, "Git LFS pointer of a file of 411,577,620 bytes.*git lfs pull"),
    "old pointer": (POINTER.replace("git-lfs", "hawser"), "Git LFS pointer"),
    "annex": ("../.git/annex/objects/SHA256E-s4--ab.h5\n", "git-annex pointer.*git annex get"),
    "page": (
        "\n<!DOCTYPE html>\n<html><title>404\n Not  Found</title>",
        "web page.*404 Not Found",
    ),
    "drive": (
        "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>",
        "web page.*confirm the download in a browser",
    ),
    "log in": ("<html><head><title>Sign in - Google Accounts</title>", "web page.*log in"),
    "repository": ("<!doctype html><title>bert_model at main · x - GitHub</title>", "raw file"),
    "xml": ('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "AccessDenied"),
    "json": ('{"error": "Repository not found"}', "server's answer.*Repository not found"),
    "api": ('{"message": "Not Found", "documentation_url": "x", "status": "404"}', "Not Found"),
    "words": ("404: Not Found", "server's answer.*404: Not Found"),
    "hub": ("Entry not found\n", "server's answer"),
    "nothing": ("", "empty file"),
    "zeros": ("\0" * 5000, "nothing but zeros"),
    "rar": ("Rar!\x1a\x07\x01\x00", "RAR archive; unpack it"),
}


def one(folder: Path, name: str = "model.ckpt", value: float = 1.0) -> Path:
    """A checkpoint of one number."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        write_bundle(Path(made), {"x": np.full(3, value, np.float32)})
        for path in Path(made).glob("model.ckpt*"):
            shutil.move(path, folder / path.name.replace("model.ckpt", name))
    return folder / name


def value_of(path: Path | str) -> tuple[float, list[str]]:
    """The number of such a checkpoint, and the notes."""
    with convert.open_checkpoint(path) as found:
        return float(found["x"].numpy()[0]), found.notes


@pytest.fixture
def two(tmp_path):
    """Two checkpoints, of the numbers 1000 and 2000."""
    for step in (1000, 2000):
        one(tmp_path, f"model.ckpt-{step}", step)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        'model_checkpoint_path: "/home/alice/out/model.ckpt-2000"',
        'model_checkpoint_path: "model.ckpt-2000"',
        "model_checkpoint_path: '/cns/x/model.ckpt-2000'",
        r'model_checkpoint_path: "C:\\Users\\alice\\model.ckpt-2000"',
        r'model_checkpoint_path: "C:\Users\new\model.ckpt-2000"',
        r'model_checkpoint_path: "D:\model.ckpt-2000"',
        'model_checkpoint_path: "../../out/model.ckpt-2000"',
        'model_checkpoint_path: "out/model.ckpt-2000"',
        r'model_checkpoint_path: "/\346\250\241\345\236\213/model.ckpt-2000"',
        '\ufeff  model_checkpoint_path:"/x/model.ckpt-2000"\r',
    ],
)
@pytest.mark.parametrize("given", ["", "checkpoint"])
def test_the_checkpoint_file_names_the_newest(two, line, given):
    rest = 'all_model_checkpoint_paths: "/home/alice/out/model.ckpt-1000"\n'
    (two / "checkpoint").write_text(f"{line}\n{rest}", "utf-8")
    value, notes = value_of(two / given)
    assert value == 2000
    assert "model.ckpt-2000, which `checkpoint` names" in notes[0]
    assert ("another machine" in notes[0]) == ('"model.ckpt' not in line)
    assert "alice" not in notes[0]  # an author's path is nobody else's business


def test_a_name_of_other_letters_is_understood(tmp_path):
    one(tmp_path, "模型", 1)
    one(tmp_path, "model", 2)
    path = r"/root/\346\250\241\345\236\213"
    (tmp_path / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\n')
    assert value_of(tmp_path)[0] == 1


def test_a_checkpoint_in_a_folder_below_is_named(tmp_path):
    one(tmp_path / "a", "m", 1)
    one(tmp_path / "b", "m", 2)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "b/m"\n')
    assert value_of(tmp_path)[0] == 2


def test_what_is_named_and_absent_is_said(two):
    (two / "checkpoint").write_text('model_checkpoint_path: "/x/model.ckpt-3000"\n')
    with pytest.raises(UsageError, match=r"several.*1000.*2000.*names model\.ckpt-3000, which is"):
        value_of(two)
    with pytest.raises(NotFoundError, match=r"names model\.ckpt-3000.*ckpt-1000.*ckpt-2000"):
        value_of(two / "checkpoint")
    for path in two.glob("model.ckpt-1000*"):
        path.unlink()
    for given in (two, two / "checkpoint"):
        value, notes = value_of(given)
        assert value == 2000
        assert "names model.ckpt-3000, which is not here; taken: model.ckpt-2000" in notes[0]


def test_the_checkpoint_file_chooses_among_those_of_the_first_version(tmp_path):
    for step in (1, 2):
        write_v1(tmp_path / f"m-{step}", {"x": np.full(3, step, np.float32)}, per_block=3)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/x/m-2"\n')
    assert value_of(tmp_path)[0] == value_of(tmp_path / "checkpoint")[0] == 2


@pytest.mark.parametrize("text", ["", "junk", 'model_checkpoint_path: ""\n', POINTER])
def test_a_checkpoint_file_without_a_name_helps_nobody(two, text):
    (two / "checkpoint").write_text(text)
    with pytest.raises(UsageError, match="several"):
        value_of(two)
    with pytest.raises(IntegrityError, match="checkpoint: "):
        value_of(two / "checkpoint")


@pytest.mark.parametrize("case", IMPOSTORS)
@pytest.mark.parametrize("name", ["best.weights", "m.h5", "m.keras", "m.ckpt.index"])
def test_what_is_no_weights_file_is_reported(tmp_path, scratch, case, name):
    folder = tmp_path / "in"
    folder.mkdir()
    text, words = IMPOSTORS[case]
    (folder / name).write_text(text, "utf-8")
    for given in (folder, folder / name):
        with pytest.raises(IntegrityError, match=rf"(?s){name}: .*{words}"):
            value_of(given)
        with pytest.raises(IntegrityError, match=words):
            convert.inspect(given)
    one(folder, "good.ckpt", 7)
    value, notes = value_of(folder)
    assert value == 7
    assert notes[0].startswith(f"passed over: {name}: ")
    assert str(tmp_path) not in notes[0]


@pytest.mark.parametrize(
    "case", [case for case in IMPOSTORS if case not in ("nothing", "zeros", "rar")]
)
def test_what_is_no_data_file_is_reported(tmp_path, case):
    prefix = one(tmp_path)
    text, words = IMPOSTORS[case]
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_text(text)
    with pytest.raises(IntegrityError, match=f"data-00000-of-00001: .*{words}"):
        value_of(tmp_path)


@pytest.mark.parametrize("values", [b"{\0\0\0", b"\x80\2}\0", b"\0" * 4, b"<htm", b"Rar!"])
def test_numbers_may_look_like_anything(tmp_path, values):
    prefix = write_bundle(tmp_path, {"x": np.frombuffer(values * 9, np.float32)})
    with convert.open_checkpoint(prefix) as found:
        assert found["x"].numpy().tobytes() == values * 9


@pytest.mark.parametrize(
    "content", [b"[PAD]\n[UNK]\n", b"\n\n", b"<s>\n<unk>\n", b'{"a": 1}', b"x"]
)
def test_what_may_be_a_companion_is_nothing_else(tmp_path, content):
    (tmp_path / "vocab.txt").write_bytes(content)
    assert what_is(tmp_path / "vocab.txt") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.h5.crdownload", "unfinished download"),
        ("bert_model.ckpt.data-00000-of-00001.part", "unfinished download"),
        ("bert_model.ckpt.index.aria2", "unfinished download"),
        ("m.index.tempstate123", "unfinished download"),
        ("bert_model.ckpt.data-00000-of-00001", r"bert_model\.ckpt\.index is missing; put"),
        ("._bert_model.ckpt.index", "contains no checkpoint"),
        (".index", "empty name"),
    ],
)
def test_half_of_a_checkpoint_is_reported(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"half of it")
    with pytest.raises(GenaeError, match=words):
        value_of(tmp_path)


def test_an_archive_or_other_format_beside_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "bert.zip", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(NotFoundError, match=r"it contains bert\.zip: give that file"):
        value_of(tmp_path)
    (tmp_path / "bert.zip").unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(NotFoundError, match=r"pytorch_model\.bin: a pickle"):
        value_of(tmp_path)


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (None, "there is none; download it"),
        ("m.data-00000-of-00001.crdownload", "crdownload is an unfinished download: let it end"),
        ("m.data-00000-of-00001 (1)", r"00001 \(1\); download it as well, or give"),
        ("m.data", r"there is m\.data; download it as well, or give"),
        ("bert_model.ckpt.data-00000-of-00001", "there is bert_model.*or give one of these its"),
        ("m.meta", "there is none"),
    ],
)
def test_what_lies_in_the_place_of_a_data_file_is_named(tmp_path, there, words):
    data = one(tmp_path, "m").with_name("m.data-00000-of-00001")
    data.unlink() if there is None else data.rename(data.with_name(there))
    with pytest.raises(NotFoundError, match=rf"m\.data-00000-of-00001 is missing: .*{words}"):
        value_of(tmp_path)


def test_a_prefix_whose_index_is_missing_is_reported_by_what_is_left(tmp_path):
    prefix = one(tmp_path, "m")
    Path(f"{prefix}.index").unlink()
    with pytest.raises(NotFoundError, match=r"m\.data-.* whose m\.index is missing; put"):
        value_of(prefix)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("bert_config.json", "neither a .*; give the checkpoint, and a configuration with --conf"),
        ("vocab.txt", "neither a .*; give the checkpoint, and a vocabulary with --vocab FILE"),
        ("notes.md", "neither a .*; give a checkpoint's folder, prefix or file"),
        ("mode\u0300le", "looks the same, but its letters and accents are other characters"),
        ("absent", "neither absent.index nor this file exists; check the name"),
        ("no/where", "there is no folder .*no; check the name"),
    ],
)
def test_a_path_that_is_no_checkpoint_is_told_with_a_next_step(tmp_path, given, words):
    for name in ("bert_config.json", "vocab.txt", "notes.md", "mod\xe8le"):
        (tmp_path / name).write_text("of something else\n")
    with pytest.raises(GenaeError, match=words):
        value_of(tmp_path / given)


def test_the_checkpoint_file_alone_and_what_is_no_file_are_reported(tmp_path):
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/root/x/model.ckpt-9"\n')
    with pytest.raises(NotFoundError, match=r"names model\.ckpt-9, which is not here; put its"):
        value_of(tmp_path)
    with pytest.raises(NotFoundError, match="/dev/null: it is neither a file nor a folder"):
        value_of("/dev/null")


def test_a_copied_cache_of_the_hub_is_its_snapshot(tmp_path):
    saved = one(tmp_path / "snapshots/abc", "tf", 3)
    (tmp_path / "blobs").mkdir()
    shutil.copy(f"{saved}.index", tmp_path / "blobs/0123.index")
    assert value_of(tmp_path) == (3, ["taken: the checkpoint in snapshots/abc"])
    (tmp_path / "snapshots").rename(tmp_path / "runs")
    with pytest.raises(UsageError, match="blobs"):
        value_of(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"), [(POINTER, "Git LFS pointer.*git lfs pull"), ("<!DOCTYPE html>", "page")]
)
def test_a_models_folder_may_hold_such_files_as_well(tmp_path, content, words):
    (tmp_path / "config.json").write_text('{"model_type": "genae_vae"}')
    (tmp_path / "model.safetensors").write_text(content)
    with pytest.raises(IntegrityError, match=words):
        convert.export_checkpoint(tmp_path, tmp_path / "out", to="tf-checkpoint")
    with pytest.raises(IntegrityError, match=words):
        safetensors_header(tmp_path / "model.safetensors")


def test_clutter_is_passed_over(tmp_path):
    one(tmp_path, "model.ckpt", 3)
    for name in ("._model.ckpt.index", ".DS_Store", "Thumbs.db", "desktop.ini", "._x.h5"):
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / "__MACOSX").mkdir()
    shutil.copy(tmp_path / "model.ckpt.index", tmp_path / "__MACOSX/other.index")
    value, notes = value_of(tmp_path)
    assert (value, notes) == (3, [])
    with pytest.raises(IntegrityError, match="side file of macOS"):
        value_of(tmp_path / "._x.h5")


def test_the_only_folder_with_a_checkpoint_is_taken(tmp_path):
    one(tmp_path / "chinese_L-12/chinese_L-12", "bert_model.ckpt", 5)
    (tmp_path / "empty").mkdir()
    value, notes = value_of(tmp_path)
    assert value == 5
    assert notes == ["taken: the checkpoint in chinese_L-12/chinese_L-12"]
    one(tmp_path / "other", "bert_model.ckpt", 6)
    with pytest.raises(UsageError, match=r"folders in it do: .*other, .*chinese_L-12; give one"):
        value_of(tmp_path)


@pytest.mark.parametrize("name", ["model.ckpt-best", "electra_256", "bert_model", "m.v2.ckpt-5"])
def test_prefixes_of_every_kind(tmp_path, name):
    one(tmp_path, name, 4)
    for given in ("", name, f"{name}.index", f"{name}.data-00000-of-00001"):
        assert value_of(tmp_path / given)[0] == 4


def test_companions_lie_beside_or_above(tmp_path):
    one(tmp_path / "in/run", "m")
    assert locate(tmp_path).places == [tmp_path / "in/run", tmp_path / "in", tmp_path]
    assert locate(tmp_path / "in/run/m").places == [tmp_path / "in/run"]
    saved = tmp_path / "saved"
    one(saved / "variables", "variables")
    (saved / "assets").mkdir()
    wanted = [saved / "variables", saved / "assets", saved]
    for given in (saved, saved / "variables", saved / "variables/variables"):
        assert locate(given).places == wanted


def packed(folder: Path, kind: str, files: dict[str, Path | bytes]) -> Path:
    """An archive of files under given names."""
    path = folder / f"bert.{kind}"
    contents = {
        name: what if isinstance(what, bytes) else what.read_bytes()
        for name, what in files.items()
    }
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return path
    mode = {"tgz": "gz", "tar": ""}.get(kind, kind.rpartition(".")[2])
    with tarfile.open(path, f"w:{mode}") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def files_of(folder: Path, below: str) -> dict[str, Path | bytes]:
    return {f"{below}/{path.name}": path for path in sorted(folder.iterdir())}


KINDS = ["zip", "tgz", "tar.gz", "tar.xz", "tar.bz2", "tar"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_in_an_archive_can_be_given(tmp_path, scratch, kind):
    one(tmp_path / "a", "model.ckpt", 1)
    one(tmp_path / "b", "model.ckpt", 2)
    files = files_of(tmp_path / "a", "all/a") | files_of(tmp_path / "b", "./all/b")
    archive = packed(tmp_path, kind, files | {"__MACOSX/all/a/._model.ckpt.index": b"\0\5\x16\7"})
    with pytest.raises(UsageError, match=rf"bert\.{kind}!all/a, .*bert\.{kind}!all/b; give one"):
        value_of(archive)
    for inner in ("all/b", "/all/b/", "all/b/model.ckpt", "all/b/model.ckpt.index",
                  "all/b/model.ckpt.data-00000-of-00001"):  # fmt: skip
        assert value_of(f"{archive}!{inner}")[0] == 2
        assert convert.inspect(f"{archive}!{inner}").tensors == 1
    with pytest.raises(
        NotFoundError, match=rf"bert\.{kind}!all/b/m.*; there is model\.ckpt\.index"
    ):
        value_of(f"{archive}!all/b/m")
    with pytest.raises(NotFoundError, match="no checkpoint"):
        value_of(f"{archive}!../../a/model.ckpt.index/x")


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_errors_name_the_archive_and_the_place(tmp_path, scratch, kind):
    prefix = one(tmp_path / "a", "model.ckpt", 1)
    data = prefix.with_name("model.ckpt.data-00000-of-00001")
    data.write_bytes(bytes(12))
    archive = packed(tmp_path, kind, files_of(tmp_path / "a", "in"))
    with convert.open_checkpoint(archive) as found, pytest.raises(IntegrityError) as error:
        found["x"].numpy()
    assert f"{archive}!in/model.ckpt.data-00000-of-00001" in str(error.value)
    assert "genae-" not in str(error.value)
    data.write_bytes(bytes(3))
    archive = packed(tmp_path, kind, files_of(tmp_path / "a", "in"))
    for call in (convert.inspect, lambda p: convert.convert_checkpoint(p, tmp_path / "out")):
        with pytest.raises(IntegrityError) as error:
            call(archive)
        assert f"{archive}!in/model.ckpt" in str(error.value)
        assert "genae-" not in str(error.value)
    data.unlink()
    archive = packed(tmp_path, kind, files_of(tmp_path / "a", "in"))
    with pytest.raises(
        NotFoundError, match=r"bert\.\w+!in/model\.ckpt\.data-00000-of-00001 is miss"
    ):
        value_of(archive)


def test_a_path_that_holds_the_sign_is_a_path(tmp_path):
    place = one(tmp_path / "wow!/a.zip!b", "m!", 8)
    for given in (place, place.parent, place.with_name("m!.index")):
        assert value_of(given)[0] == 8
    packed(tmp_path, "zip", {"m.index": b"no"})
    other = one(tmp_path / "bert.zip!x", "m", 9)
    assert value_of(other)[0] == 9  # what exists under this name wins
    with pytest.raises(NotFoundError, match="no checkpoint"):
        value_of(f"{tmp_path}/absent.zip!x")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_names_in_a_zip_that_do_not_tell_their_encoding(tmp_path, encoding):
    raw = "模型".encode(encoding)
    archive = packed(tmp_path, "zip", files_of(one(tmp_path / "a").parent, "x" * len(raw)))
    archive.write_bytes(archive.read_bytes().replace(b"x" * len(raw), raw))
    assert value_of(f"{archive}!模型")[0] == 1


def test_hostile_places_in_an_archive_stay_inside(tmp_path, scratch):
    prefix = one(tmp_path / "a", "model.ckpt", 1)
    index, data = (
        prefix.with_name("model.ckpt.index"),
        prefix.with_name("model.ckpt.data-00000-of-00001"),
    )
    for name in ("../../../up", "/etc/up", "C:\\up", "a/../../b", "..\\..\\up"):
        archive = packed(
            tmp_path, "zip", {f"{name}/model.ckpt.index": index, f"{name}/{data.name}": data}
        )
        before = {path for path in tmp_path.rglob("*") if scratch not in path.parents}
        assert value_of(archive)[0] == 1
        assert {p for p in tmp_path.rglob("*") if scratch not in p.parents} == before
    archive = packed(tmp_path, "zip", {"a": b"1", "a/model.ckpt.index": index})
    with pytest.raises(GenaeError) as error:
        value_of(archive)
    assert "bert.zip" in str(error.value)
    assert "genae-" not in str(error.value)


def test_a_full_disk_is_no_damaged_archive(tmp_path, scratch, monkeypatch):
    archive = packed(tmp_path, "zip", {"m.h5": b"x"})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("convert.readers.archive._copy", full)
    with pytest.raises(MissingDependencyError, match=r"bert\.zip: no room.*TMPDIR"):
        value_of(archive)


def test_an_archive_in_an_archive_is_unpacked_by_hand(tmp_path, scratch):
    inner = packed(tmp_path, "tar", {"x": b"y"})
    archive = packed(tmp_path, "zip", {"in.tar": inner})
    with pytest.raises(GenaeError, match=r"bert\.zip.*in\.tar"):
        value_of(archive)
    with pytest.raises(UsageError, match=r"bert\.zip!in\.tar: an archive inside an archive"):
        value_of(f"{archive}!in.tar")


def test_a_published_layout_is_converted_with_its_companions(tmp_path):
    source = LEGACY / "bert_segment5"
    names = [path for path in source.iterdir() if path.name.startswith(("bert_", "vocab"))]
    archive = packed(tmp_path, "tgz", {f"bert_zh/{path.name}": path for path in names})
    report = convert.convert_checkpoint(archive, tmp_path / "one")
    assert any("taken: the checkpoint in bert_zh" in note for note in report.notes)
    convert.convert_checkpoint(source, tmp_path / "two")
    for name in ("model.safetensors", "config.json"):
        assert content(tmp_path / "one" / name) == content(tmp_path / "two" / name)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("https://host/bert.zip", "https://host/bert.zip is an address.*download it, give its"),
        (Path("https://host/bert.zip"), "https://host/bert.zip is an address"),
        ("gs://bucket/model.ckpt", "gs://bucket/model.ckpt is an address"),
        ("owner/bert-base", "no folder owner; .*a model of a hub is downloaded first"),
        ("~nobody-of-this-name/bert", r"no folder ~nobody-of-this-name; check the name$"),
    ],
)
def test_what_is_no_place_on_this_machine_is_reported(given, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenaeError, match=words):
        value_of(given)


def test_a_folder_called_like_an_address_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one(tmp_path / "run:2", "m", 3)
    assert value_of("run:2")[0] == 3
    assert value_of("run:2/m")[0] == 3
    one(tmp_path / "run:", "m", 4)
    assert value_of("run:/m")[0] == 4


@pytest.mark.parametrize("name", ["y" * 256, "y" * 256 + "/out", "\u56fd" * 86])
def test_names_that_no_folder_can_have_are_told_before_anything_is_read(tmp_path, name):
    with pytest.raises(UsageError, match="at most 255 bytes; choose a shorter one"):
        convert.convert_checkpoint(tmp_path / "absent", tmp_path / name)
    with pytest.raises(UsageError, match="at most 255 bytes"):
        convert.inspect(tmp_path / "absent", out=tmp_path / name)


@pytest.mark.parametrize("name", ["y" * 255, "\u56fd" * 85])
def test_the_longest_names_are_made(tmp_path, name):
    convert.convert_checkpoint(LEGACY / "bert_full/bert_model.ckpt", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", ["zip", "tgz"])
@pytest.mark.parametrize("name", ["vocab.txt", "bert_config.json", "spiece.model"])
def test_errors_of_companions_name_the_archive_as_well(tmp_path, scratch, kind, name):
    files = files_of(LEGACY / "bert_full", "in")
    files = {key: what for key, what in files.items() if "bert_model" in key or "config" in key}
    archive = packed(tmp_path, kind, files | {f"in/{name}": b"<html><title>Sign in</title>"})
    with pytest.raises(GenaeError) as error:
        convert.convert_checkpoint(archive, tmp_path / "out")
    for said in (str(error.value), convert.inspect(archive).missing[0]):
        assert f"{archive}!in/{name}: " in said
        assert "web page" in said
        assert "genae-" not in said


def test_a_vocabulary_in_another_archive_is_not_taken_from_this_one(tmp_path, scratch):
    files = {
        key: what
        for key, what in files_of(LEGACY / "bert_full", "in").items()
        if "bert_model" in key or "config" in key or "vocab" in key
    }
    archive = packed(tmp_path, "zip", files)
    other = packed(tmp_path, "tgz", {"in/vocab.txt": b"[UNK]\nother\n"})
    with pytest.raises(
        UsageError, match=r"lies in another archive .*: unpack bert\.tgz, and give"
    ):
        convert.convert_checkpoint(archive, tmp_path / "out", vocab=f"{other}!in/vocab.txt")
    convert.convert_checkpoint(archive, tmp_path / "out", vocab=f"{archive}!in/vocab.txt")
    with pytest.raises(
        NotFoundError, match=r"a place in an archive is given as .*bert\.zip!in/m$"
    ):
        value_of(archive / "in/m")
