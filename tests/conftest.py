"""What every test shares: no network, caches of its own, few threads, fixed seeds.

The environment is set before any test module imports torch, transformers or datasets.
"""

import gc
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"
# Run in another interpreter, which has TensorFlow or Keras.
collect_ignore = ["conversion/old_stack.py", "conversion/real_keras.py"]
_CACHE = tempfile.TemporaryDirectory(prefix="genae-tests-", ignore_cleanup_errors=True)

for _name in ("GENAE_DATA", "GENAE_VERIFY", "HF_TOKEN", "HF_ENDPOINT", "HF_HUB_CACHE",
              "HF_DATASETS_CACHE", "HF_MODULES_CACHE", "FORCE_COLOR"):  # fmt: skip
    os.environ.pop(_name, None)
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HOME": f"{_CACHE.name}/hf",
    "XDG_CACHE_HOME": f"{_CACHE.name}/xdg",
    "MPLCONFIGDIR": f"{_CACHE.name}/matplotlib",
    "MPLBACKEND": "Agg",
    "TOKENIZERS_PARALLELISM": "false",
    # What a command prints must not depend on the terminal.
    "COLUMNS": "120",
    "NO_COLOR": "1",
    "TERM": "dumb",
}
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is first imported


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep what is imported and collected, for the session, out of the garbage collector's way."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(10_000, 20, 20)  # tests leave little, and it is short-lived


@pytest.fixture(autouse=True)
def _fixed_seeds():
    """The same random numbers in every test, in any order; nothing is imported for it."""
    random.seed(0)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(0)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of full data sets beside the checkout; absent for most people."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no full data sets in ../shared/data")
    return SHARED_DATA


@pytest.fixture
def tiny_config():
    """`tiny_config("vae", **overrides)`: a small config of an architecture, from tests/tiny.py."""
    from tests.tiny import TINY
    from zoo import catalog

    def make(architecture: str, variant: str | None = None, **overrides):
        variants = TINY[architecture]
        settings = variants[variant or next(iter(variants))] | overrides
        return catalog.load(catalog.ARCHITECTURES[architecture].config)(**settings)

    return make


class Done(NamedTuple):
    """What a command of `genae` did: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def tried(self) -> list[str]:
        """The commands behind `try:`."""
        lines = self.err.splitlines()
        return [line.removeprefix("try: ") for line in lines if line.startswith("try: ")]


@pytest.fixture
def run(capsys):
    """`run("sample", ...)`: the command line, in this process."""
    from zoo.cli import app

    def call(*words) -> Done:
        capsys.readouterr()
        code = 0
        try:
            app([str(word) for word in words], prog_name="genae")
        except SystemExit as end:
            code = end.code or 0
        return Done(code, *capsys.readouterr())

    return call
