"""The package as others get it: built, installed into an empty environment, used elsewhere."""

import json
import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from zoo.registry import embedded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHIPPED = "eae-mnist"


def run(*command, **settings):
    """Run a command and return what it printed; its errors are in the failure's message."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, **settings
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel, built from the source distribution, which is built from the tracked files."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listed = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=root)
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((root / name).read_bytes())
    run(sys.executable, "-m", "build", "--outdir", dist, source)
    return next(dist.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """An environment that holds the wheel, and borrows its dependencies from the tests' own."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", wheel)
    packages = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])").strip())
    # Only what has no genae in it: an editable install would stand in for the wheel.
    borrowed = packages / "borrowed"
    borrowed.mkdir()
    for place in site.getsitepackages():
        for item in Path(place).iterdir():
            if "genae" not in item.name and not (borrowed / item.name).exists():
                (borrowed / item.name).symlink_to(item)
    (packages / "borrowed.pth").write_text(f"{borrowed}\n")
    return folder


@pytest.fixture
def call(environment, tmp_path):
    """Run something of the environment from a folder of its own, where no network answers."""
    told = ("PYTHON", "VIRTUAL", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(told)}
    clean["HF_ENDPOINT"] = "http://127.0.0.1:9"  # nobody was told to stay offline

    def run_there(program, *words):
        return run(environment / "bin" / program, *words, cwd=tmp_path, env=clean)

    return run_there


def test_wheel_holds_packages_cards_and_types(wheel, root):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"zoo", "convert", "cards"}
    for top in ("zoo", "convert", "cards"):
        for file in (root / top).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert file.relative_to(root).as_posix() in names
    assert {"zoo/py.typed", "convert/py.typed"} <= names
    licences = {name.rsplit("/", 1)[1] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def test_the_installed_package_is_the_wheel(call, environment):
    code = "import zoo, cards; print(zoo.__file__, cards.__file__, zoo.__version__)"
    places = call("python", "-c", code).split()
    assert places[0].startswith(str(environment))
    assert places[1].startswith(str(environment))
    assert places[2] == "0.1.0"


def test_the_zoo_is_listed(call):
    rows = json.loads(call("genae", "list", "--all", "--json"))
    assert {row["id"] for row in rows} == {f"genae/{f.name}" for f in embedded.folders()}


def test_a_grid_is_sampled(call, tmp_path):
    call("genae", "sample", f"genae/{SHIPPED}", "-n", "9", "--seed", "0", "-o", "digits.png")
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_examples_are_reconstructed(call, tmp_path):
    call("genae", "reconstruct", f"genae/{SHIPPED}", "examples-mnist", "-o", "pairs.png")
    assert (tmp_path / "pairs.png").is_file()


def test_the_readme_s_python_runs(call, root, tmp_path):
    text = (root / "README.md").read_text(encoding="utf-8")
    first = text.split("```python\n")[1].split("```")[0]
    (tmp_path / "cards").symlink_to(root / "cards")
    check = "assert latents.shape == (1, 16) and images[0].size == (28, 28)"
    call("python", "-c", f"{first}\n{check}\nassert type(model).__name__ == 'EAEModel'")
