"""The test server against huggingface_hub and transformers themselves: it is no friend of ours."""

import os
import subprocess
import sys

import pytest

from tests.hubs.server import HubServer, User

SCRIPT = """
import sys
from pathlib import Path
from huggingface_hub import (CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download,
                             snapshot_download)
from huggingface_hub.errors import (EntryNotFoundError, GatedRepoError, HfHubHTTPError,
                                    RepositoryNotFoundError, RevisionNotFoundError)
api = HfApi(token="tok")
assert api.whoami()["name"] == "alice"
api.create_repo("alice/m", exist_ok=True)
api.create_repo("alice/m", exist_ok=True)
files = {"config.json": b'{"model_type": "bert", "hidden_size": 24}', "empty.txt": b"",
         "sub/model.safetensors": bytes(range(256)) * 50,
         "README.md": b"---\\nlicense: mit\\n---\\n"}
def add(name):
    path = Path(name.replace("/", "-"))  # open files, as paths would go to Xet storage
    path.write_bytes(files[name])
    return CommitOperationAdd(name, path.open("rb"))
first = api.create_commit("alice/m", [add(n) for n in files], commit_message="first")
assert api.model_info("alice/m").sha == first.oid
for name, content in files.items():
    path = hf_hub_download("alice/m", name)
    assert Path(path).read_bytes() == content, name
folder = Path(snapshot_download("alice/m", revision=first.oid))
assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == {
    *files, ".gitattributes"}
assert sorted(api.list_repo_files("alice/m")) == sorted([*files, ".gitattributes"])
assert api.get_paths_info("alice/m", ["config.json", "none"])[0].size == len(files["config.json"])
api.create_tag("alice/m", tag="v1", revision=first.oid)
api.create_branch("alice/m", branch="dev")
refs = api.list_repo_refs("alice/m")
assert {b.name for b in refs.branches} == {"main", "dev"}
assert refs.tags[0].target_commit == first.oid
api.delete_branch("alice/m", branch="dev")
second = api.create_commit("alice/m", [CommitOperationDelete("empty.txt")],
                           commit_message="second", parent_commit=first.oid)
assert [c.commit_id for c in api.list_repo_commits("alice/m")][:2] == [second.oid, first.oid]
def fails(kind, call, status=None):
    try:
        call()
    except kind as error:
        assert status is None or error.response.status_code == status, error
    else:
        raise AssertionError(kind)
stale = [CommitOperationAdd("x.txt", b"x")]
fails(HfHubHTTPError, lambda: api.create_commit("alice/m", stale, commit_message="no",
                                                parent_commit=first.oid), 412)
fails(HfHubHTTPError, lambda: api.create_tag("alice/m", tag="v1"), 409)
fails(RepositoryNotFoundError, lambda: api.model_info("alice/none"))
fails(RevisionNotFoundError, lambda: api.model_info("alice/m", revision="none"))
fails(EntryNotFoundError, lambda: hf_hub_download("alice/m", "none.txt"))
page = CommitOperationAdd("README.md", b"---\\ntags: [a]\\n---\\n")
fails(ValueError, lambda: api.create_commit("alice/m", [page], commit_message="no"))
api.create_repo("alice/hidden", private=True)
for token in (False, "other"):
    fails(RepositoryNotFoundError, lambda: HfApi(token=token).model_info("alice/hidden"))
fails(GatedRepoError, lambda: hf_hub_download("alice/gated", "config.json", token="other"))
assert [m.id for m in api.list_models(search="M")] == ["alice/m"]
if "transformers" in sys.argv:
    from transformers import AutoConfig
    assert AutoConfig.from_pretrained("alice/m").hidden_size == 24
print("fine")
"""


@pytest.mark.parametrize(
    ("lfs", "serve", "more"),
    [
        ("basic", "direct", []),
        ("multipart", "same-origin", []),
        ("basic", "other-origin", []),
        pytest.param("basic", "other-origin", ["transformers"], marks=pytest.mark.slow),  # imports
    ],
)
def test_the_real_clients_work_with_it(tmp_path, lfs, serve, more):
    users = {"tok": User("alice"), "other": User("bob")}
    with HubServer(users, lfs=lfs, serve=serve, page_size=2) as server:
        server.storage.create("alice/gated", gated=True)
        server.storage.commit("alice/gated", {"config.json": b"{}"})
        env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        env |= {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "tok",
                "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *more],
            cwd=tmp_path, env=env, capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout == "fine\n", done.stderr[-3000:]
        assert not [r for r in server.log if r.origin == "other" and r.token]
        assert server.count("GET", r"^/objects/") + server.count("GET", "resolve")
