"""Commands of `genae` in a young interpreter, and what they make it import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import contextlib, io, json, sys
lines, blocked = json.load(sys.stdin)
for name in blocked:
    sys.modules[name] = None  # as if it were not installed
from zoo.cli import app
for words in lines:
    code, out, err = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app(words, prog_name="genae")
        except SystemExit as end:
            code = end.code or 0
    print(json.dumps([words, code, out.getvalue(), err.getvalue(), [*sys.modules]]))
"""


class Said(NamedTuple):
    """What a command did, and the modules that were imported when it had ended."""

    words: list[str]
    code: int
    out: str
    err: str
    loaded: list[str]


def commands(*lines: list[str], cwd: Path = ROOT, blocked: tuple[str, ...] = ()) -> list[Said]:
    """Run commands one after the other in one process; importing any of `blocked` is an error."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([lines, blocked]),
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [Said(*json.loads(line)) for line in done.stdout.splitlines()]
    assert [one.words for one in said] == [*lines]
    return said
