"""What the small hub answers, route by route: one method each, found in the table at the end."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from tests.hubs.storage import Repo, blob_oid

if TYPE_CHECKING:
    from tests.hubs.server import HubServer, Request, User

REPO = r"(?P<repo>[^/?]+(?:/[^/?]+)?)"


@dataclass
class Answer:
    """What goes out."""

    status: int = 200
    body: object = b""
    headers: dict = field(default_factory=dict)


def error(status: int, code: str = "", message: str = "") -> Answer:
    headers = {"X-Error-Code": code} if code else {}
    if message:
        headers["X-Error-Message"] = message
    return Answer(status, {"error": message or code}, headers)


MISSING = error(404, "RepoNotFound", "Repository not found")
HIDDEN = error(401, "RepoNotFound", "Repository not found")


class Routes:
    """The hub's side of a request that the handler, which this is mixed into, has read."""

    hub: HubServer
    origin: str
    command: str
    content: bytes
    query: dict[str, list[str]]
    seen: Request
    user: User | None

    def _route(self, path: str) -> Answer:
        if self.origin == "other":
            return self._object(path)
        for method, pattern, name in ROUTES:
            wanted = "GET" if self.command == "HEAD" else self.command
            if wanted == method and (match := re.fullmatch(pattern, path)):
                return getattr(self, name)(**match.groupdict())
        return error(404, "", "no such route")

    def _is_member(self, repo: str) -> bool:
        owner, user = repo.split("/")[0].lower(), self.user
        return user is not None and owner in {user.name.lower(), *map(str.lower, user.orgs)}

    def _open(self, repo: str, *, write: bool = False) -> Repo | Answer:
        """The repository, or what someone without the right to it is told."""
        found = self.hub.storage.repo(repo)
        user, member = self.user, self._is_member(repo)
        if found is None or (found.private and not member):
            return MISSING if user else HIDDEN
        if write and not (member and user.write):
            status = 403 if user else 401
            return error(status, "", "You have no right to write here.")
        return found

    def _at(self, repo: str, rev: str, *, write: bool = False):
        found = self._open(repo, write=write)
        if isinstance(found, Answer):
            return found, None
        commit = found.commit_of(rev)
        if commit is None:
            return error(404, "RevisionNotFound", "Invalid rev id"), None
        return found, commit

    def whoami(self) -> Answer:
        if self.user is None:
            return error(401, "", "Invalid username or password.")
        orgs = [{"name": name} for name in self.user.orgs]
        role = "write" if self.user.write else "read"
        return Answer(body={"type": "user", "name": self.user.name, "orgs": orgs,
                            "auth": {"accessToken": {"role": role}}})  # fmt: skip

    def create(self) -> Answer:
        asked = json.loads(self.content)
        if self.user is None:
            return error(401, "", "Invalid username or password.")
        owner = asked.get("organization") or self.user.name
        name = f"{owner}/{asked['name']}"
        if owner not in (self.user.name, *self.user.orgs) or not self.user.write:
            return error(403, "", "You have no right to create a model under this namespace.")
        with self.hub.storage.lock:
            if self.hub.storage.repo(name):
                return Answer(409, {"url": f"{self.hub.url}/{name}", "error": "exists already"})
            self.hub.storage.create(name, private=asked.get("visibility") == "private"
                                    or bool(asked.get("private")))  # fmt: skip
        return Answer(body={"url": f"{self.hub.url}/{name}", "name": name, "id": name})

    def info(self, repo: str, rev: str = "main") -> Answer:
        found, commit = self._at(repo, rev)
        if commit is None:
            return found
        rows = [{"rfilename": path} for path in commit.files]
        return Answer(body={
            "id": found.id, "sha": commit.id, "siblings": rows, "private": found.private,
            "gated": "manual" if found.gated else False, "tags": list(found.tags_of_card),
            "downloads": 0, "likes": 0,
        })  # fmt: skip

    def models(self) -> Answer:
        search = self.query.get("search", [""])[0].lower()
        repos = [r for r in self.hub.storage.repos.values() if search in r.id.lower()]
        rows = [{"id": r.id, "tags": list(r.tags_of_card)} for r in repos if not r.private]
        return self._paged(rows)

    def tree(self, repo: str, rev: str) -> Answer:
        found, commit = self._at(repo, rev)
        if commit is None:
            return found
        folders = {p.rsplit("/", 1)[0] for p in commit.files if "/" in p}
        rows = [{"type": "directory", "path": p, "size": 0, "oid": "0" * 40} for p in folders]
        return self._paged([*rows, *(e.row(p) for p, e in sorted(commit.files.items()))])

    def _paged(self, rows: list) -> Answer:
        start = int(self.query.get("cursor", ["0"])[0])
        end = start + self.hub.page_size
        headers = {}
        if end < len(rows):
            rest = "&".join(f"{k}={quote(v[0])}" for k, v in self.query.items() if k != "cursor")
            url = f"{self.hub.url}{self.seen.path}?{rest}&cursor={end}"
            headers["Link"] = f'<{url}>; rel="next"'
        return Answer(body=rows[start:end], headers=headers)

    def paths_info(self, repo: str, rev: str) -> Answer:
        found, commit = self._at(repo, rev)
        if commit is None:
            return found
        asked = parse_qs(self.content.decode()).get("paths", [])
        return Answer(body=[commit.files[p].row(p) for p in asked if p in commit.files])

    def commits(self, repo: str, rev: str) -> Answer:
        found, commit = self._at(repo, rev)
        if commit is None:
            return found
        rows = []
        while commit is not None:
            rows.append({"id": commit.id, "title": commit.message, "message": "",
                         "date": "2026-01-01T00:00:00.000Z", "authors": []})  # fmt: skip
            commit = found.commits.get(commit.parent or "")
        return Answer(body=rows)

    def refs(self, repo: str) -> Answer:
        found = self._open(repo)
        if isinstance(found, Answer):
            return found
        kinds = (("heads", found.branches), ("tags", found.tags))
        rows = [
            [{"name": n, "ref": f"refs/{k}/{n}", "targetCommit": c} for n, c in table.items()]
            for k, table in kinds
        ]
        return Answer(body={"branches": rows[0], "tags": rows[1], "converts": []})

    def new_branch(self, repo: str, name: str) -> Answer:
        found = self._open(repo, write=True)
        if isinstance(found, Answer):
            return found
        with self.hub.storage.lock:
            if name in found.branches:
                return error(409, "", "Reference already exists")
            start = (json.loads(self.content or b"{}") or {}).get("startingPoint") or "main"
            found.branches[name] = found.commit_of(start).id
        return Answer(body={})

    def delete_branch(self, repo: str, name: str) -> Answer:
        found = self._open(repo, write=True)
        if isinstance(found, Answer):
            return found
        if found.branches.pop(name, None) is None:
            return error(404, "RevisionNotFound", "no such branch")
        return Answer(body={})

    def new_tag(self, repo: str, name: str) -> Answer:
        found, commit = self._at(repo, name, write=True)
        if commit is None:
            return found
        with self.hub.storage.lock:
            tag = json.loads(self.content)["tag"]
            if tag in found.tags:
                return error(409, "", "Reference already exists")
            found.tags[tag] = commit.id
        return Answer(body={})

    def delete_tag(self, repo: str, name: str) -> Answer:
        found = self._open(repo, write=True)
        if isinstance(found, Answer):
            return found
        if found.tags.pop(name, None) is None:
            return error(404, "RevisionNotFound", "no such tag")
        return Answer(body={})

    def validate(self) -> Answer:
        content = json.loads(self.content)["content"]
        front = re.match(r"---\n(.*?\n)---\n", content, re.S)
        import yaml

        problem = ""
        try:
            matter = yaml.safe_load(front[1]) if front else None
            if not isinstance(matter, dict) or not isinstance(matter.get("license"), str):
                problem = '"license" is required'
            elif not all(isinstance(t, str) for t in matter.get("tags", [])):
                problem = '"tags" must be text'
        except yaml.YAMLError as bad:
            problem = str(bad)
        if problem:
            return Answer(400, {"errors": [{"message": problem}], "warnings": []})
        return Answer(body={"errors": [], "warnings": []})

    def preupload(self, repo: str, rev: str) -> Answer:
        found, commit = self._at(repo, rev, write=True)
        if commit is None:
            return found
        rows = []
        for file in json.loads(self.content)["files"]:
            there = commit.files.get(file["path"])
            mode = "lfs" if self.hub.storage.is_lfs(file["path"], file["size"]) else "regular"
            rows.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False,
                         "oid": there.etag if there else None})  # fmt: skip
        return Answer(body={"files": rows})

    def batch(self, repo: str) -> Answer:
        found = self._open(repo, write=True)
        if isinstance(found, Answer):
            return found
        rows = []
        for item in json.loads(self.content)["objects"]:
            oid, size = item["oid"], item["size"]
            row = {"oid": oid, "size": size}
            if oid not in self.hub.storage.objects:
                base = f"{self.hub.address('other')}/put/{oid}"
                upload = {"href": f"{base}?sig=ok"}
                if self.hub.lfs == "multipart":
                    count = max(1, -(-size // self.hub.chunk_size))
                    urls = {f"{i:05d}": f"{base}/{i}?sig=ok" for i in range(1, count + 1)}
                    href = f"{self.hub.url}/complete/{oid}?sig=ok"
                    header = {"chunk_size": str(self.hub.chunk_size), **urls}
                    upload = {"href": href, "header": header}
                verify = {"href": f"{self.hub.url}/verify/{oid}"}
                row["actions"] = {"upload": upload, "verify": verify}
            rows.append(row)
        kind = self.hub.lfs
        return Answer(body={"transfer": kind, "objects": rows})

    def complete(self, oid: str) -> Answer:
        numbers = [part["partNumber"] for part in json.loads(self.content)["parts"]]
        content = b"".join(self.hub.parts[oid, n] for n in sorted(numbers))
        return self._keep(oid, content)

    def _keep(self, oid: str, content: bytes) -> Answer:
        if "sig" not in self.query:
            return error(403, "", "not signed")
        if hashlib.sha256(content).hexdigest() != oid:
            return error(422, "", "another content than its name")
        self.hub.storage.objects[oid] = content
        return Answer(body={})

    def verify(self, oid: str) -> Answer:
        if self.user is None:
            return error(401, "", "no token")
        size = json.loads(self.content)["size"]
        there = self.hub.storage.objects.get(oid)
        return Answer(body={}) if there is not None and len(there) == size else error(404)

    def commit(self, repo: str, rev: str) -> Answer:
        found = self._open(repo, write=True)
        if isinstance(found, Answer):
            return found
        header, operations = {}, []
        for line in self.content.splitlines():
            item = json.loads(line)
            key, value = item["key"], item["value"]
            if key == "header":
                header = value
            elif key == "file":
                operations.append(("file", value["path"], base64.b64decode(value["content"])))
            elif key == "lfsFile":
                operations.append(("lfs", value["path"], value["oid"]))
            else:
                operations.append((key, value["path"], None))
        status, made = self.hub.storage.apply(
            found, rev, operations, header.get("parentCommit"), header.get("summary", "")
        )
        if status != 200:
            return error(status, "", made)
        url = f"{self.hub.url}/{found.id}/commit/{made}"
        return Answer(body={"commitOid": made, "commitUrl": url, "success": True})

    def file(self, repo: str, rev: str, path: str) -> Answer:
        found, commit = self._at(repo, rev)
        if commit is None:
            return found
        if found.gated and not self._is_member(repo):  # what there is may be known, not had
            status = 403 if self.user else 401
            return error(status, "GatedRepo", "Access to this model is restricted.")
        entry = commit.files.get(path)
        if entry is None:
            missing = error(404, "EntryNotFound", "Entry not found")
            missing.headers["X-Repo-Commit"] = commit.id
            return missing
        headers = {"X-Repo-Commit": commit.id, "ETag": f'"{entry.etag}"', "Accept-Ranges": "bytes"}
        if entry.lfs:
            headers |= {"X-Linked-Etag": f'"{entry.etag}"', "X-Linked-Size": len(entry.content)}
            if self.hub.serve != "direct":
                origin = "other" if self.hub.serve == "other-origin" else "main"
                place = f"{self.hub.address(origin)}/objects/{entry.sha256}?commit={commit.id}"
                return Answer(302, b"", headers | {"Location": place})
        return self._ranged(entry.content, headers)

    def _object(self, path: str) -> Answer:
        """The second origin, as a storage service: it knows objects and signatures, no users."""
        if match := re.fullmatch(r"/put/([0-9a-f]{64})(?:/(\d+))?", path):
            if match[2] is None:
                return self._keep(match[1], self.content)
            self.hub.parts[match[1], int(match[2])] = self.content
            return Answer(headers={"ETag": blob_oid(self.content)})
        return self.stored(path.removeprefix("/objects/"))

    def stored(self, oid: str) -> Answer:
        content = self.hub.storage.objects.get(oid)
        if content is None:
            return error(404)
        commit = {"X-Repo-Commit": self.query["commit"][0], "Accept-Ranges": "bytes"}
        return self._ranged(content, commit | {"ETag": f'"{oid}"', "X-Linked-Etag": f'"{oid}"'})

    def _ranged(self, content: bytes, headers: dict) -> Answer:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.seen.range or "")
        if match is None:
            return Answer(200, content, headers)
        start, total = int(match[1]), len(content)
        if start >= total:
            return Answer(416, b"", headers | {"Content-Range": f"bytes */{total}"})
        end = min(int(match[2] or total), total - 1)
        headers["Content-Range"] = f"bytes {start}-{end}/{total}"
        return Answer(206, content[start : end + 1], headers)


API = f"/api/models/{REPO}"
ROUTES = (
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate"),
    ("GET", r"/api/models", "models"),
    ("GET", rf"{API}/tree/(?P<rev>[^/]+)", "tree"),
    ("POST", rf"{API}/paths-info/(?P<rev>[^/]+)", "paths_info"),
    ("GET", rf"{API}/commits/(?P<rev>[^/]+)", "commits"),
    ("GET", rf"{API}/refs", "refs"),
    ("GET", rf"{API}/revision/(?P<rev>.+)", "info"),
    ("POST", rf"{API}/branch/(?P<name>.+)", "new_branch"),
    ("DELETE", rf"{API}/branch/(?P<name>.+)", "delete_branch"),
    ("POST", rf"{API}/tag/(?P<name>.+)", "new_tag"),
    ("DELETE", rf"{API}/tag/(?P<name>.+)", "delete_tag"),
    ("POST", rf"{API}/preupload/(?P<rev>.+)", "preupload"),
    ("POST", rf"{API}/commit/(?P<rev>.+)", "commit"),
    ("GET", API, "info"),
    ("POST", rf"/{REPO}\.git/info/lfs/objects/batch", "batch"),
    ("POST", r"/complete/(?P<oid>[0-9a-f]{64})", "complete"),
    ("POST", r"/verify/(?P<oid>[0-9a-f]{64})", "verify"),
    ("GET", r"/objects/(?P<oid>[0-9a-f]{64})", "stored"),
    ("GET", rf"/{REPO}/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "file"),
)
