"""What people write to name a model: ids, folders, and addresses of pages."""

import os

import pytest

import zoo
from tests.fresh import commands
from tests.registry.conftest import content
from zoo import registry
from zoo.errors import NotFoundError, UsageError
from zoo.registry import names
from zoo.registry.names import Name, parse
from zoo.registry.types import check_revision

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = "https://huggingface.co"


@pytest.fixture(autouse=True)
def _public_hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", HUB)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "revision"),
    [
        ("alice/plain", None),
        (" alice/plain\n", None),
        (f"{HUB}/alice/plain", None),
        (f"{HUB}/alice/plain/", None),
        (f"{HUB}/alice/plain.git", None),
        ("http://HuggingFace.co/alice/plain", None),
        (f"{HUB}/alice/plain?library=transformers#usage", None),
        (f"{HUB}/alice/plain/tree/main", "main"),
        (f"{HUB}/alice/plain/blob/v1.0.0/config.json", "v1.0.0"),
        (f"{HUB}/alice/plain/resolve/{COMMIT}/model.safetensors?download=true", COMMIT),
        (f"{HUB}/alice/plain/commit/{COMMIT}", COMMIT),
        (f"{HUB}/alice/plain/tree/refs%2Fpr%2F1", "refs/pr/1"),
        (f"{HUB}/alice/plain/tree/refs/pr/1/onnx", "refs/pr/1"),
        (f"{HUB}/alice/plain/discussions/3", None),
        (f"{HUB}/api/models/alice/plain/revision/dev", "dev"),
        ("huggingface.co/alice/plain", None),
        ("hf.co/alice/plain/tree/dev", "dev"),
        ("hf://alice/plain", None),
        ("hf://models/alice/plain@dev", "dev"),
        ("hf://alice/plain@dev/config.json", "dev"),
        ("git@hf.co:alice/plain.git", None),
        ("alice/plain@v1.0.0", "v1.0.0"),
    ],
)
def test_every_way_to_write_an_id(text, revision):
    assert parse(text) == Name("alice/plain", revision, None)
    assert parse(text, revision) == Name("alice/plain", revision, None)


def test_bare_names_and_their_pages():
    for text in ("bert-base-chinese", f"{HUB}/bert-base-chinese", "hf.co/bert-base-chinese"):
        assert parse(text) == Name("bert-base-chinese", None, None)
    assert parse(f"{HUB}/bert-base-chinese/tree/main").id == "bert-base-chinese"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HUB}/datasets/alice/plain", "the page of a data set"),
        ("hf://spaces/alice/plain", "the page of a space"),
        (f"{HUB}/papers/1810.04805", "the page of a paper"),
        (f"{HUB}/", "the page of no model"),
        (f"{HUB}/alice/plain/nonsense/x", "such as alice/plain"),
        ("https://github.com/alice/plain", "at github.com, and the hub that is asked is"),
        ("https://user:secret@elsewhere.example/alice/plain", "add --from https://elsewhere"),
    ],
)
def test_pages_that_are_no_models(text, words):
    with pytest.raises(UsageError, match=words) as caught:
        parse(text)
    assert "secret" not in str(caught.value)


def test_two_revisions_are_one_too_many():
    for text in (f"{HUB}/alice/plain/tree/main", "alice/plain@main"):
        with pytest.raises(UsageError, match="names the revision main, and --revision is v2"):
            parse(text, "v2")


def test_addresses_of_other_hubs(monkeypatch, caplog):
    from huggingface_hub import constants

    own = "https://own.example:8080"
    assert parse(f"{own}/alice/plain", source=own) == Name("alice/plain", None, own)
    monkeypatch.setenv("GENAE_REGISTRIES", f"embedded,hub,{own}")
    assert parse(f"{own}/alice/plain") == Name("alice/plain", None, own)
    monkeypatch.delenv("GENAE_REGISTRIES")
    with pytest.raises(UsageError, match=r"asked is huggingface\.co"):
        parse(f"{own}/alice/plain")
    monkeypatch.setattr(constants, "ENDPOINT", own)
    for text in (f"{own}/alice/plain", "own.example:8080/alice/plain"):
        assert parse(text) == Name("alice/plain", None, None)
    monkeypatch.setattr(constants, "ENDPOINT", f"{own}/hub")
    assert parse(f"{own}/hub/alice/plain/tree/dev") == Name("alice/plain", "dev", None)
    monkeypatch.setattr(constants, "ENDPOINT", own)
    assert not caplog.records
    assert parse(f"{HUB}/alice/plain").id == "alice/plain"  # a mirror has it, too: it is said
    assert "is asked of own.example:8080, not of huggingface.co" in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("./nope", "existing folder or an id"),
        ("~/nope", "existing folder or an id"),
        ("/nope/nope", "existing folder or an id"),
        ("a/b/c", "existing folder or an id"),
        ("a\\b", "existing folder or an id"),
        ("alice/plain/", "or the model's id: alice/plain[.]"),
        ("alice/plain/tree/dev", "id: alice/plain --revision dev"),
        ("s3://bucket/alice/plain", "after --from"),
        ("./out/modle", "did you mean './out/model'"),
    ],
)
def test_a_folder_that_is_not_there_is_named_as_one(text, words, tmp_path, monkeypatch):
    monkeypatch.setenv("GENAE_REGISTRIES", "hub")
    (tmp_path / "out" / "model").mkdir(parents=True)
    with pytest.raises(NotFoundError, match=words) as caught:
        registry.resolve(text)
    assert str(caught.value).startswith("no folder ")


def test_an_id_that_could_be_a_folder_is_told_as_both(tmp_path, monkeypatch):
    (tmp_path / "out" / "model").mkdir(parents=True)
    with pytest.raises(
        NotFoundError, match=r"There is no folder 'oout/model' here[.] oout/model at main"
    ):
        registry.resolve("oout/model")
    with pytest.raises(NotFoundError, match="'out/modle' here; did you mean 'out/model'"):
        registry.resolve("out/modle")


def test_a_command_is_refused_before_torch_is_imported(tmp_path):
    lines = (
        ["sample", "no_such_folder", "-o", "x.png"],
        ["evaluate", "out/modle"],
        ["fill-mask", "a/b/c", "x"],
    )
    for words, code, out, err, loaded in commands(*lines, cwd=tmp_path):
        assert (code, out) == (3, ""), words
        assert "folder" in err, words
        assert not {"torch", "transformers"} & {*loaded}, words


def test_what_exists_wins(tmp_path, monkeypatch):
    (tmp_path / "alice" / "plain@dev").mkdir(parents=True)
    assert registry.resolve("alice/plain@dev") == "alice/plain@dev"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert registry.resolve("~/alice") == str(tmp_path / "alice")
    assert names.here("x" * 5000) is None  # longer than any path


def test_the_id_to_publish_under():
    for text in ("alice/plain", f"{HUB}/alice/plain", f"{HUB}/alice/plain/tree/main"):
        assert names.id_of(text) == "alice/plain"
    for text in (f"{HUB}/alice/plain/tree/dev", "alice/plain@dev", "./alice/plain"):
        with pytest.raises(UsageError):
            names.id_of(text)


def test_addresses_are_taken_by_every_verb(server, monkeypatch, tmp_path, release, open_hub):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("GENAE_REGISTRIES", "hub")
    made = release()
    open_hub("pusher").push(made)
    commit = server.storage.head("alice/toy")
    page = f"{server.url}/alice/toy/tree/v1.0.0"
    assert content(registry.resolve(page)) == content(made.folder)
    assert content(registry.fetch(page)) == content(made.folder)
    assert content(zoo.pull(page, tmp_path / "out")) == content(made.folder)
    assert registry.verify(page).id == "alice/toy"
    from zoo.registry.peek import peek

    facts, _ = peek(page)
    assert (facts["id"], facts["revision"], facts["commit"]) == ("alice/toy", "v1.0.0", commit)
    assert os.path.isdir(registry.resolve(f"{server.url}/alice/toy"))


def test_short_commits(server, open_hub, release):
    made = release()
    open_hub("pusher").push(made)
    commit = server.storage.head("alice/toy")
    server.storage.commit("alice/toy", {"README.md": b"newer"})
    hub = open_hub()
    for digits in (7, 12, 39):
        assert hub.folder("alice/toy", commit[:digits]).name == commit
        assert open_hub(offline=True).folder("alice/toy", commit[:digits]).name == commit
    assert hub.folder("alice/toy", commit.upper()).name == commit
    with pytest.raises(NotFoundError, match="begins with 1234567: a commit has 40 digits"):
        hub.folder("alice/toy", "1234567")
    with pytest.raises(NotFoundError, match="no such model"):
        hub.folder("alice/none", "1234567")
    server.storage.tag("alice/toy", "1234567", commit)  # a name that only looks like one
    assert hub.folder("alice/toy", "1234567").name == commit
    assert check_revision("1234567") == "1234567"


def test_a_model_that_is_published_nowhere_is_asked_of_nobody():
    with pytest.raises(NotFoundError, match=r"published nowhere: give its folder, such as out/a"):
        parse("local/a@v1.0.0")
    assert parse("locals/a").id == "locals/a"
