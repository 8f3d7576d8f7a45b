"""What a file contains in place of what its name says: a pointer, a web page, half a download.

Everything that reads a file of a checkpoint asks here: weights, configurations and vocabularies.
"""

from __future__ import annotations

import html
import json
import re
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from zoo.errors import IntegrityError

HEAD = 2**16  # bytes that are looked at
SHOWN = 60  # characters of a title or message

#: Endings of downloads that stopped, by browsers, download managers and TensorFlow's own saving.
UNFINISHED = re.compile(
    r"\.(?:part|partial|crdownload|opdownload|download|downloading|incomplete|aria2|xltd|!ut)$"
    r"|\.tempstate\d+$",
    re.IGNORECASE,
)
#: The first bytes of texts that stand for a file, what they are, and what to do.
POINTERS = (
    (
        re.compile(rb"version https://(?:git-lfs|hawser)\b"),
        "a Git LFS pointer",
        "fetch the file with `git lfs pull`, or download it",
    ),
    (
        re.compile(rb"(?:\.\./)*(?:\.git)?/annex/objects/"),
        "a git-annex pointer",
        "fetch the file with `git annex get`",
    ),
)
PAGE = re.compile(rb"<(?:!doctype\s+html|html|head|meta|script)\b", re.IGNORECASE)
TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
CODE = re.compile(rb"<(?:Code|Message)>(.*?)</", re.IGNORECASE | re.DOTALL)
MESSAGE = re.compile(
    r"(?:error:?\s*)?(?:\d{3}\s*[:-]?\s*)?(?:(?:\w+ )?not found|forbidden|access denied|"
    r"unauthorized|bad (?:gateway|request|credentials)|service unavailable|too many requests|"
    r"internal server error|invalid username or password|.*rate limit.*)\W*",
    re.IGNORECASE,
)
#: Keys of answers of servers; one of the first is there, and none that is in neither.
ERROR_KEYS = {"error", "errors", "message", "detail", "details", "msg", "error_description"}
ANSWER_KEYS = ERROR_KEYS | set(
    "code status statuscode status_code type documentation_url title request_id requestid path "
    "timestamp success errno error_code error_msg error_type reason url".split()
)
AGAIN = "download the file again"
ZIP = b"PK\3\4"
MADE_OF = "give the TensorFlow or Keras checkpoint that it was made of"
#: Files of other kinds without first bytes of their own, by the ends of their names.
NAMED = (
    (
        "saved_model.pb",
        "a SavedModel's graph alone",
        "give its folder, with variables/ in it, where the weights are",
    ),
    (".onnx", "an ONNX model", MADE_OF),
    (".pb", "a graph of TensorFlow, its weights, if any, frozen into a program", MADE_OF),
    (".pbtxt", "a graph of TensorFlow as text, without weights", MADE_OF),
    (".pdparams", "PaddlePaddle's parameters", MADE_OF),
    (".pdiparams", "PaddlePaddle's parameters", MADE_OF),
    (".w_0", "one of PaddlePaddle's parameters", MADE_OF),
    (".b_0", "one of PaddlePaddle's parameters", MADE_OF),
    (".msgpack", "weights of Flax", MADE_OF),
    (".params", "weights of MXNet", MADE_OF),
    (".caffemodel", "weights of Caffe", MADE_OF),
    (".mlmodel", "a model of Core ML", MADE_OF),
)
TFLITE = b"TFL3"  # behind four bytes
#: The first bytes of files of other kinds, what they are, and what to do.
KINDS = (
    (b"\0\5\x16\7", "a side file of macOS", "give the file whose name is without `._`"),
    (b"Rar!\x1a\7", "a RAR archive", "unpack it and give its folder"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and give its folder"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it first"),
    (b"\x1f\x8b", "compressed with gzip, and no tar or damaged", "unpack it with gunzip"),
    (b"BZh", "compressed with bzip2, and no tar or damaged", "unpack it with bunzip2"),
    (b"\xfd7zXZ\0", "compressed with xz, and no tar or damaged", "unpack it with unxz"),
    (ZIP, "a damaged zip, neither a checkpoint nor HDF5", AGAIN),
    (b"\x93NUMPY", "an array of NumPy", MADE_OF),
    (b"GGUF", "a GGUF file of llama.cpp", MADE_OF),
    (b"%PDF-", "a PDF", AGAIN),
)
PICKLE = re.compile(rb"\x80[\x02-\x05]")
SAFETENSORS = re.compile(rb".{6}\0\0\{", re.DOTALL)
#: What a page's title says of why it came in place of a file.
PAGES = (
    (
        re.compile("virus scan warning", re.IGNORECASE),
        "Google Drive asks before it sends a large file: confirm the download in a browser",
    ),
    (
        re.compile("quota exceeded", re.IGNORECASE),
        "Google Drive has sent it too often today: try later, or copy it to a drive of your own",
    ),
    (
        re.compile("log ?in|sign ?in|登录|登錄", re.IGNORECASE),
        "the server asks who you are: log in and download the file in a browser",
    ),
    (
        re.compile(r"github|gitee|gitlab", re.IGNORECASE),
        "this is the page about the file: download the raw file",
    ),
)


class Content(NamedTuple):
    """What a file is in truth.

    Attributes:
        words: such as "a Git LFS pointer".
        step: what to do about it.
    """

    words: str
    step: str


PICKLED = Content(
    "a pickle, such as PyTorch's .bin and .pt files, which may run code and is not opened",
    "give the TensorFlow or Keras checkpoint",
)


def what_is(path: Path, *, raw: bool = False) -> Content | None:
    """What a file contains in place of what its name says; None where nothing is known against it.

    Args:
        path: a file.
        raw: its bytes may be any, as a data file's of TensorFlow: only texts that stand for a file
            are named.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        whole = not file.read(1)
    if not raw and not head:
        return Content("an empty file", AGAIN)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return _standing_in(text, whole) or (None if raw else _other(path, head))


def refusal(path: Path, *, raw: bool = False) -> IntegrityError | None:
    """What to raise of a file that is something else; None where nothing is known against it."""
    found = what_is(path, raw=raw)
    return None if found is None else IntegrityError(f"{path}: {found.words}; {found.step}")


def check_content(path: Path, *, raw: bool = False) -> None:
    """Refuse a file that is something else than its name says; arguments as `what_is`.

    Raises:
        IntegrityError: it is; says what it is and what to do.
    """
    if (error := refusal(path, raw=raw)) is not None:
        raise error


def _standing_in(text: bytes, whole: bool) -> Content | None:
    """A text that came in place of a file."""
    for pattern, words, step in POINTERS:
        if pattern.match(text):
            size = re.search(rb"^size (\d{1,18})\s*$", text, re.MULTILINE)
            of = f" of a file of {int(size[1]):,} bytes" if size else ""
            return Content(f"{words}{of}, not the file itself", step)
    if PAGE.match(text):
        title = _line(html.unescape(_decoded(found[1]))) if (found := TITLE.search(text)) else ""
        step = next((step for pattern, step in PAGES if pattern.search(title)), AGAIN)
        return Content(f"a web page{f' ({title!r})' if title else ''}, not the file itself", step)
    if text.startswith(b"<?xml"):
        code = _line(_decoded(found[1])) if (found := CODE.search(text)) else ""
        return Content(f"a server's answer in XML{f' ({code!r})' if code else ''}", AGAIN)
    if not whole:
        return None
    if text.startswith(b"{") and (message := _message(text)):
        return Content(f"a server's answer in place of the file ({message!r})", AGAIN)
    if len(text) <= 512 and MESSAGE.fullmatch(_decoded(text).strip()):
        return Content(
            f"a server's answer in place of the file ({_line(_decoded(text))!r})", AGAIN
        )
    return None


def arrays_in_zip(path: Path) -> Content | None:
    """A zip that is one file of weights to its program; None for any other, and for no zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError):
        return None
    roots = [name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")]
    if any(f"{root}version" in names for root in roots):
        return PICKLED
    if names and all(name.endswith(".npy") for name in names):
        return Content("arrays of NumPy", MADE_OF)
    return None


def _other(path: Path, head: bytes) -> Content | None:
    """A file of another kind, or half of one."""
    if head.startswith(ZIP) and (arrays := arrays_in_zip(path)):
        return arrays
    for magic, words, step in KINDS:
        if head.startswith(magic):
            return Content(words, step)
    if SAFETENSORS.match(head):
        return Content("a safetensors file", "transformers loads such files as they are")
    if PICKLE.match(head):
        return PICKLED
    if head[4:8] == TFLITE:
        return Content("a model of TensorFlow Lite", MADE_OF)
    for ending, words, step in NAMED:
        if path.name.lower().endswith(ending):
            return Content(words, step)
    if not any(head):
        return Content("nothing but zeros at its beginning", f"{AGAIN}: the download never ended")
    if UNFINISHED.search(path.name):
        return Content("an unfinished download", "let it end, or download the file again")
    return None


def _message(text: bytes) -> str:
    """The message of a server's answer in JSON; empty where it is none."""
    try:
        table: Any = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(table, dict):
        return ""
    keys = {key.lower(): value for key, value in table.items()}
    if not keys or not set(keys) <= ANSWER_KEYS or not set(keys) & ERROR_KEYS:
        return ""
    value = next(value for key, value in keys.items() if key in ERROR_KEYS)
    return _line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _line(text: str) -> str:
    """A text in one printable line."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."
