"""Models in plain folders, on disks and in buckets."""

import multiprocessing
import os
from pathlib import Path

import pytest

import zoo
from tests.registry.conftest import content, release_files
from zoo import registry
from zoo.errors import (
    ConflictError,
    GenaeError,
    IntegrityError,
    MissingDependencyError,
    NotAllowedError,
    NotFoundError,
    UnreachableError,
    UsageError,
)
from zoo.registry import order
from zoo.registry.cache import Cache
from zoo.registry.folder import Folder
from zoo.registry.types import File, Release


@pytest.fixture(params=["disk", "memory"])
def shared(request, tmp_path):
    url = f"memory://{tmp_path.name}/models" if request.param == "memory" else tmp_path / "models"
    return Folder(str(url), cache=Cache(tmp_path / "cache"))


def test_what_is_pushed_is_pulled_byte_for_byte(shared, release):
    made, newer = release(), release("1.10.0")
    done = shared.push(made)
    assert set(done.sent) == {file.path for file in made.files}
    shared.push(newer)
    shared.push(release("1.9.0"))
    assert shared.list() == ["alice/toy"]
    assert shared.list("TOY") == ["alice/toy"]
    assert shared.list("none") == []
    assert list(shared.versions("alice/toy")) == ["v1.10.0", "v1.9.0", "v1.0.0"]
    assert content(shared.folder("alice/toy")) == content(newer.folder)
    for revision in ("v1.0.0", "1.0.0", done.commit):
        assert content(shared.folder("alice/toy", revision)) == content(made.folder)
    for name, revision in (("alice/toy", "v3.0.0"), ("alice/none", None), ("alice/toy", "dev")):
        with pytest.raises(NotFoundError):
            shared.folder(name, revision)


def test_a_version_is_published_once(shared, release):
    shared.push(release())
    with pytest.raises(ConflictError, match="these very files"):
        shared.push(release())
    with pytest.raises(ConflictError, match="other files"):
        shared.push(release(**{"config.json": b"{}", "manifest.json": b"{}"}))
    with pytest.raises(ConflictError):
        shared.push(release(), dry_run=True)


def test_an_interrupted_push_goes_on(shared, release, monkeypatch):
    made = release()
    with monkeypatch.context() as patch:
        patch.setattr(Folder, "_create", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shared.push(made)
    with pytest.raises(NotFoundError):
        shared.folder("alice/toy")
    assert shared.push(made).sent == ()  # every file was there
    assert content(shared.folder("alice/toy")) == content(made.folder)


def test_a_dry_run_writes_nothing(tmp_path, release):
    shared = Folder(str(tmp_path / "models"))
    assert len(shared.push(release(), dry_run=True).sent) == 4
    assert not (tmp_path / "models").exists()


def test_damage_is_found(shared, release, tmp_path):
    done = shared.push(release())
    place = f"{shared.root}/alice/toy/1.0.0-{done.commit[:12]}"
    shared.fs.pipe_file(f"{place}/config.json", b"damaged")
    if not shared.here:
        with pytest.raises(IntegrityError, match=r"config\.json"):
            shared.folder("alice/toy")
    with pytest.raises(IntegrityError, match=r"config\.json"):
        registry.pull(shared.folder("alice/toy"), tmp_path / "copy")
    for pointer in (b"[]", b"{", b'{"schema": 1}', b"x" * 9999, b'{"schema": 1, "size": "1"}'):
        shared.fs.pipe_file(f"{shared.root}/alice/toy/v1.0.0.json", pointer)
        with pytest.raises(IntegrityError):
            shared.folder("alice/toy")
    shared.fs.pipe_file(f"{shared.root}/alice/toy/v1.0.0.json", b"")  # a push that was cut
    with pytest.raises(NotFoundError):
        shared.folder("alice/toy")


def test_what_moves_or_goes_back_is_refused(shared, release):
    shared.push(release())
    shared.push(release("1.1.0"))
    shared.folder("alice/toy")
    shared.folder("alice/toy", "1.0.0")
    base = f"{shared.root}/alice/toy"
    newer, older = (shared.fs.cat_file(f"{base}/v1.{i}.0.json") for i in (1, 0))
    shared.fs.pipe_file(f"{base}/v1.2.0.json", older)
    with pytest.raises(IntegrityError, match=r"under v1\.2\.0 lies version '1\.0\.0'"):
        shared.folder("alice/toy", "1.2.0")
    shared.fs.rm(f"{base}/v1.2.0.json")
    shared.fs.rm(f"{base}/v1.1.0.json")
    with pytest.raises(IntegrityError, match=r"main went back from version 1\.1\.0 to 1\.0\.0"):
        shared.folder("alice/toy")
    assert shared.folder("alice/toy", "1.0.0")
    shared.fs.pipe_file(f"{base}/v1.0.0.json", newer)
    with pytest.raises(IntegrityError, match="never changes"):
        shared.folder("alice/toy", "1.0.0")


def test_a_pointer_may_not_leave_its_folder(shared, release):
    shared.push(release())
    path = f"{shared.root}/alice/toy/v1.0.0.json"
    text = shared.fs.cat_file(path).replace(b"1.0.0-", b"../../other/1.0.0-")
    shared.fs.pipe_file(path, text)
    with pytest.raises(GenaeError):
        shared.folder("alice/toy")


def test_offline_asks_disks_and_no_buckets(release, tmp_path):
    Folder(str(tmp_path / "m"), offline=True).push(release())
    with pytest.raises((UnreachableError, MissingDependencyError)):
        Folder("http://127.0.0.1:9/models", offline=True).versions("alice/toy")


def test_places_that_are_none():
    with pytest.raises(UsageError, match="no registry"):
        order.open_remote("nowhere")
    with pytest.raises(UsageError):
        order.open_remote("embedded")
    with pytest.raises((UsageError, MissingDependencyError), match="nope"):
        order.open_remote("nope://x/y")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path, release):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(NotAllowedError):
        Folder(str(tmp_path / "locked")).push(release())


def test_a_file_in_the_way_is_no_traceback(tmp_path, release):
    (tmp_path / "file").touch()
    with pytest.raises((GenaeError, OSError)):
        Folder(str(tmp_path / "file")).push(release())


def test_the_search_order_is_a_setting(ready, tmp_path, monkeypatch, registry_root):
    zoo.push(ready, "genae/extra", to=f"{tmp_path}/models")
    zoo.push(ready, "alice/toy", to=f"{tmp_path}/models")
    for name in ("genae/extra", "alice/toy"):
        with pytest.raises(NotFoundError):
            registry.resolve(name)
    monkeypatch.setenv("GENAE_REGISTRIES", f"embedded, {tmp_path}/models")
    assert order.order() == ["embedded", f"{tmp_path}/models"]
    for name in ("genae/extra", "alice/toy"):
        assert zoo.from_pretrained(name).config.model_type == "genae_eae"
        assert zoo.EAEModel.from_pretrained(name, revision="v1.0.0")
        assert registry.verify(name).problems == []
    assert registry.resolve("genae/eae-toy") == str(registry_root / "eae-toy")
    with pytest.raises(NotFoundError, match="Did you mean 'genae/eae-toy'"):
        registry.resolve("genae/eae-tyo")
    pulled = registry.pull("alice/toy", tmp_path / "pulled", revision="1.0.0")
    assert registry.verify(pulled).ok
    monkeypatch.setenv("GENAE_REGISTRIES", "hub,hub")
    with pytest.raises(UsageError, match="twice"):
        order.order()
    monkeypatch.setenv("GENAE_REGISTRIES", "embedded")
    with pytest.raises(NotFoundError, match="GENAE_REGISTRIES"):
        registry.resolve("alice/toy")


def _write(root: str, folder: str, version: str, files: list) -> None:
    release = Release("alice/toy", version, Path(folder), tuple(File(*f) for f in files))
    try:
        Folder(root).push(release)
    except ConflictError:
        os._exit(7)
    os._exit(0)


def test_writers_side_by_side(tmp_path, release):
    """Versions written at once are all there; of one version's writers one wins."""
    context = multiprocessing.get_context("spawn")
    root = str(tmp_path / "models")
    made = [release(f"1.0.{i}") for i in range(2)]
    made += [release("2.0.0", name="alice/toy", **{"config.json": b"%d" % i}) for i in range(1)]
    workers = [
        context.Process(
            target=_write,
            args=(root, str(r.folder), r.version, [(f.path, f.size, f.sha256) for f in r.files]),
        )
        for r in [*made, made[0], made[-1]]
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(w.exitcode for w in workers) == [0, 0, 0, 7, 7]
    shared = Folder(root)
    assert len(shared.versions("alice/toy")) == 3
    for one in made:
        assert content(shared.folder("alice/toy", one.version)) == content(one.folder)


def test_the_test_releases_are_sound(tmp_path):
    from zoo.header import safetensors_header

    (tmp_path / "model.safetensors").write_bytes(release_files("1.0.0")["model.safetensors"])
    assert safetensors_header(tmp_path / "model.safetensors")
