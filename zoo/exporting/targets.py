"""The runtimes that models are exported to, and the options of each; standard library only."""

import importlib.util
from dataclasses import dataclass

from zoo.errors import MissingDependencyError, UsageError
from zoo.hints import did_you_mean

SENTENCES = "sentence-transformers"
TOLERANCE = 1e-4  # of every program, relative to the largest number of an output


@dataclass(frozen=True)
class Target:
    """A runtime.

    Attributes:
        backend: its name in `transformers.exporters`.
        packages: modules that have to be installed.
        install: the command that installs them.
        caches: whether an empty cache can be given to a program, so that one reads and gives it.
        tested: whether genae's tests run its programs.
    """

    backend: str
    packages: tuple[str, ...] = ()
    install: str = ""
    caches: bool = False
    tested: bool = True


ONNX = ("onnx", "onnxruntime", "onnxscript")
TARGETS = {
    "onnx": Target("onnx", ONNX, 'pip install "genae[onnx]"', caches=True),
    "torch": Target("dynamo"),
    "executorch": Target("executorch", ("executorch",), "pip install executorch", tested=False),
    "openvino": Target("openvino", ("openvino",), "pip install openvino", tested=False),
}


def check_installed(to: str) -> Target:
    """A target whose packages are there.

    Raises:
        MissingDependencyError: some are not; the message has the command that installs them.
    """
    target = TARGETS[to]
    missing = [name for name in target.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"--to {to} needs {', '.join(missing)}, not installed here: {target.install}"
        )
    return target


def check_options(to: str, *, pooling: str | None, int8: bool, with_code: bool) -> None:
    """Refuse what is no target, an option of another, and a target that is not installed.

    Raises:
        UsageError: there is no such target, or an option is another's.
        MissingDependencyError: a package of it is not installed.
    """
    every = [*TARGETS, SENTENCES]
    if to not in every:
        raise UsageError(f"no target {to!r} to export to. {did_you_mean(to, every)}")
    for word, given, owner in (
        ("--pooling", pooling, SENTENCES), ("--with-code", with_code, SENTENCES),
        ("--int8", int8, "onnx"),
    ):  # fmt: skip
        if given and to != owner:
            raise UsageError(f"{word} is for --to {owner}; leave it out")
    if to != SENTENCES:
        check_installed(to)
