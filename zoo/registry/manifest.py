"""`manifest.json`: what a machine knows about a model's folder. Standard library only.

`{"schema": 1, "id", "version", "files": [{"path", "size", "sha256"}], "parameters", "results",
"made"}`. Written by commands, edited by nobody; it is the middle of the chain of trust from git to
the SHA-256 of every file.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.card import CARD_FILE, Card, Result, is_within, render_readme
from zoo.errors import IntegrityError, NotFoundError, UnsafeError
from zoo.header import elements, refuse_pickle, safetensors_header
from zoo.registry import atomic
from zoo.registry.remedies import ACCEPT, Problem
from zoo.registry.signing import SIGNATURE
from zoo.registry.types import MAX_FILES, check_path

__all__ = [
    "MANIFEST_FILE",
    "build",
    "check_hashes",
    "check_sizes",
    "outside",
    "read",
    "safetensors_header",
    "unmeasured",
    "write",
]

MANIFEST_FILE = "manifest.json"
README_FILE = "README.md"
MAX_BYTES = 4 * 1024 * 1024
#: What identifies a result, together with its options.
NUMBER = ("metric", "dataset", "split", "seed")
#: How the files end that only people read; loading a model needs none of them.
PROSE = (".md", ".png", CARD_FILE)


def build(
    folder: str | os.PathLike[str],
    card: Card,
    made: Mapping[str, Any],
    *,
    parameters: int | None = None,
    results: Sequence[Mapping[str, Any]] = (),
    sums: Mapping[str, str] | None = None,
    texts: Mapping[str, bytes] | None = None,
) -> dict[str, Any]:
    """Describe every file of a model's folder.

    Args:
        folder: the model's folder; hidden files and the manifest itself are left out.
        card: gives id and version.
        made: how the folder was made: `by`, `from`, `commit`.
        parameters: number of the model's parameters; None counts every value in the weights,
            buffers included.
        results: results that a machine measured, in the card's form.
        sums: SHA-256 sums of files that were hashed already, by path; the others are hashed.
        texts: content of files that are about to be written, by path.

    Returns:
        The manifest, ready for JSON; files are in the order of their paths.

    Raises:
        UnsafeError: a file is a pickle.
        IntegrityError: the weights are not sound.
    """
    root, texts = Path(folder), texts or {}
    names = sorted({*list_files(root), *texts})
    if parameters is None:
        headers = [safetensors_header(root / n) for n in names if n.endswith(".safetensors")]
        parameters = sum(map(elements, headers))
    return {
        "schema": 1,
        "id": card.id,
        "version": card.version,
        "files": [
            _described(name, texts[name]) if name in texts else _entry(root, name, sums or {})
            for name in names
        ],
        "parameters": parameters,
        "results": [dict(result) for result in results],
        "made": dict(made),
    }


def _entry(root: Path, name: str, sums: Mapping[str, str]) -> dict[str, Any]:
    path = root / name
    return {"path": name, "size": path.stat().st_size, "sha256": sums.get(name) or sha256(path)}


def _described(name: str, content: bytes) -> dict[str, Any]:
    return {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def write(
    folder: str | os.PathLike[str],
    card: Card,
    made: Mapping[str, Any],
    *,
    parameters: int | None = None,
    results: Sequence[Mapping[str, Any]] = (),
    sums: Mapping[str, str] | None = None,
    base_model: str | None = None,
    place: str | None = None,
    texts: Mapping[str, bytes] | None = None,
) -> dict[str, Any]:
    """Write `README.md` and `manifest.json` for a folder that contains everything else.

    The arguments, result and errors are those of `build`; `base_model` and `place`
    are those of `render_readme`. With `texts`, they are written too; nothing of it before all is
    known.
    """
    root, texts = Path(folder), dict(texts or {})
    manifest = build(
        root, card, made, parameters=parameters, results=results, sums=sums, texts=texts
    )
    texts[README_FILE] = render_readme(card, manifest, base_model, place).encode("utf-8")
    others = [entry for entry in manifest["files"] if entry["path"] != README_FILE]
    manifest["files"] = sorted(
        [*others, _described(README_FILE, texts[README_FILE])], key=lambda entry: entry["path"]
    )
    atomic.write_all(root, texts | {MANIFEST_FILE: _text(manifest)})
    return manifest


def _text(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode("utf-8")


def merged(
    manifest: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A manifest's results, with newer ones in place of older ones of the same."""
    older = [r for r in manifest.get("results", []) if not any(same(r, new) for new in results)]
    return [*older, *map(dict, results)]


def unmeasured(card: Card, manifest: Mapping[str, Any]) -> list[str]:
    """What a card states that was not measured on these weights, one line each.

    A card that states nothing is a line too, but of a conversion, whose tensors are those of the
    original, and of a model of vectors, of which `genae evaluate` measures nothing.
    """
    if not card.results and card.source is None and "input_shape" not in card.config:
        return ["it states no [[results]]"]
    return [
        f"{_label(r)}: not measured on these weights" for r, m in _both(card, manifest) if not m
    ]


def outside(card: Card, manifest: Mapping[str, Any]) -> list[str]:
    """What was measured outside the tolerance that a card states, one line each."""
    return [
        f"{_label(result)}: measured {found['value']:g}, stated {result.value:g} ± "
        f"{result.tolerance:g}"
        for result, found in _both(card, manifest)
        if found and not is_within(found["value"], result.value, result.tolerance)
    ]


def _both(
    card: Card, manifest: Mapping[str, Any]
) -> Iterator[tuple[Result, Mapping[str, Any] | None]]:
    """Each stated result and the last measurement of it."""
    for result in card.results:
        found = [m for m in manifest.get("results", []) if same(m, identity_of(result))]
        yield result, found[-1] if found else None


def _label(result: Result) -> str:
    return f"{result.metric} on {result.dataset}, {result.split}"


def identity_of(result: Result) -> dict[str, Any]:
    """What identifies a result: its metric, dataset, split, seed and options."""
    return {name: getattr(result, name) for name in (*NUMBER, "options")}


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two results are the same number; options that only one states do not count."""
    first, second = one.get("options", {}), other.get("options", {})
    return all(one.get(name) == other.get(name) for name in NUMBER) and all(
        first[name] == second[name] for name in first.keys() & second.keys()
    )


def read(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read and check a folder's manifest.

    Raises:
        NotFoundError: the folder has no manifest.
        IntegrityError: the manifest is malformed.
        UnsafeError: it names a path outside the folder, or a pickle.
    """
    path = Path(folder) / MANIFEST_FILE
    if not path.is_file():
        raise NotFoundError(absent(path.parent))
    if path.stat().st_size > MAX_BYTES:
        raise IntegrityError(f"{path}: larger than {MAX_BYTES} bytes, too large for a manifest.")
    return parse(path.read_bytes(), path)


def absent(folder: Path) -> str:
    """What to say of a folder without a manifest."""
    return f"{folder / MANIFEST_FILE} does not exist: nothing says what the files should be."


def parse(content: bytes, path: Path) -> dict[str, Any]:
    """Check a manifest given as text; `path` names it in messages. Raises as `read` does."""
    try:
        manifest = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: not JSON ({error}).") from None
    _check_form(manifest, path)
    return manifest  # type: ignore[no-any-return]


def _check_form(manifest: Any, path: Path) -> None:
    kinds = {"id": str, "version": str, "files": list, "parameters": int}
    if not isinstance(manifest, dict) or manifest.get("schema") != 1:
        raise IntegrityError(f"{path}: not a manifest of schema 1.")
    for key, kind in kinds.items():
        if type(manifest.get(key)) is not kind:
            raise IntegrityError(f"{path}: {key!r} is missing or not {kind.__name__}.")
    results = manifest.get("results", [])
    if not isinstance(results, list) or not all(map(_is_result, results)):
        raise IntegrityError(f"{path}: 'results' is not a list of measured numbers.")
    if len(manifest["files"]) > MAX_FILES:
        raise IntegrityError(f"{path}: lists more than {MAX_FILES} files.")
    seen: set[str] = set()
    for entry in manifest["files"]:
        known = isinstance(entry, dict) and isinstance(entry.get("path"), str)
        if not known or type(entry.get("size")) is not int or entry["size"] < 0:
            raise IntegrityError(f"{path}: a file's entry lacks its path or size.")
        if not re.fullmatch(r"[0-9a-f]{64}", str(entry.get("sha256"))):
            raise IntegrityError(f"{path}: {entry['path']!r} has no SHA-256 sum.")
        check_name(entry["path"])
        if entry["path"].lower() in seen:  # one file on a system that ignores case
            raise IntegrityError(f"{path}: {entry['path']!r} is listed twice.")
        seen.add(entry["path"].lower())
    if "config.json" not in seen or not any(name.endswith(".safetensors") for name in seen):
        raise IntegrityError(
            f"{path}: lists no config.json or no weights, so it vouches for none."
        )


def _is_result(result: Any) -> bool:
    return (
        isinstance(result, dict)
        and type(result.get("value")) in (int, float)
        and isinstance(result.get("options", {}), dict)
    )


def check_name(name: str) -> None:
    """Refuse a file name that leaves its folder, hides, or is a pickle's.

    Raises:
        UnsafeError: the name is not a plain relative path.
    """
    check_path(name)
    if any(part.startswith(".") for part in name.split("/")):
        raise UnsafeError(f"{name!r} in the manifest is hidden; a model's files are not.")
    if name.lower() == MANIFEST_FILE:
        raise UnsafeError(f"{name!r} in the manifest would replace the manifest itself.")
    refuse_pickle(name)


def check_sizes(folder: str | os.PathLike[str], skip: set[str] | None = None) -> list[Problem]:
    """Compare the files' sizes with the manifest.

    Args:
        folder: the model's folder.
        skip: paths that are not looked at; by default what only people read.

    Returns:
        One line per difference; empty if there is none.
    """
    manifest = read(folder)
    skip = prose(manifest) if skip is None else skip
    found = (_size_problem(Path(folder), e) for e in manifest["files"] if e["path"] not in skip)
    return [problem for problem in found if problem]


def check_hashes(
    folder: str | os.PathLike[str],
    skip: set[str] | None = None,
    digest: Callable[[Path], str] | None = None,
) -> list[Problem]:
    """Compare every file's size and SHA-256 with the manifest; one line per difference.

    Args:
        folder: the model's folder.
        skip: paths that are not looked at; none by default.
        digest: gives a file's SHA-256, in place of `sha256`.
    """
    problems = []
    for entry in read(folder)["files"]:
        if entry["path"] not in (skip or ()):
            path = Path(folder) / entry["path"]
            problem = _size_problem(Path(folder), entry)
            if not problem and (digest or sha256)(path) != entry["sha256"]:
                problem = differs(entry["path"], "its SHA-256 differs from the manifest's")
            problems += [problem] if problem else []
    return problems


def _size_problem(folder: Path, entry: Mapping[str, Any]) -> Problem | None:
    path = folder / entry["path"]
    if not path.is_file():
        if entry["path"].endswith((".safetensors", "config.json")):
            return Problem(f"{entry['path']}: missing", None)
        return differs(entry["path"], "missing")
    size = path.stat().st_size
    if size != entry["size"]:
        return differs(entry["path"], f"{size} bytes where the manifest says {entry['size']}")
    return None


def differs(path: str, how: str) -> Problem:
    """The line about a file that is not as the manifest says, and what mends it."""
    return Problem(f"{path}: {how}", () if is_prose(path) else ACCEPT)


def prose(manifest: Mapping[str, Any]) -> set[str]:
    """The paths of what only people read."""
    return {e["path"] for e in manifest["files"] if is_prose(e["path"])}


def is_prose(path: str) -> bool:
    """Whether only people read a file."""
    return path.lower().endswith(PROSE)


def list_files(folder: Path) -> list[str]:
    """Every file that belongs to a model's folder, as sorted relative paths.

    Hidden files, `__pycache__`, the manifest and the signature over it do not.

    Raises:
        UnsafeError: one of them is a pickle.
    """
    names = []
    for directory, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__"]
        for file in files:
            name = (Path(directory) / file).relative_to(folder).as_posix()
            if not file.startswith(".") and name not in (MANIFEST_FILE, SIGNATURE):
                refuse_pickle(name)
                names.append(name)
    return sorted(names)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A folder's `config.json`, or another JSON table there.

    Raises:
        NotFoundError: there is none.
        IntegrityError: it is not a JSON table.
    """
    path = folder / name
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist: a model's folder contains one.")
    try:
        config = json.loads(path.read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: not JSON ({error}).") from None
    if not isinstance(config, dict):
        raise IntegrityError(f"{path}: not a JSON table.")
    return config
