"""Damaged weights of published scripts end in errors of ours, whatever family is asked for."""

import os
import random
import shutil

import h5py
import pytest

import convert
from convert.images.families import FAMILIES
from tests.conversion.layer_fuzz import Maker
from tests.conversion.script_models import HERE
from tests.conversion.test_damaged_files import damaged
from zoo.errors import GenaeError

MANY = pytest.param(
    int(os.environ.get("GENAE_FUZZ", 100_000)) // 10,
    marks=[pytest.mark.slow, pytest.mark.fuzz, pytest.mark.timeout(6 * 3600)],
)
OPTIONS = {"image_size": 32}


@pytest.mark.parametrize("count", [20, MANY])
def test_damaged_weights_end_in_our_errors(tmp_path, count):
    chance = random.Random(count)
    tree = Maker("h5", tmp_path, chance)
    sources = sorted(path for path in HERE.rglob("*") if path.suffix in (".weights", ".h5"))
    contents = [path.read_bytes() for path in sources]
    refused = 0
    for turn in range(count):
        number = chance.randrange(len(sources))
        path, out = tmp_path / "vae.weights", tmp_path / "out"
        if chance.random() < 0.5:
            path.write_bytes(damaged(contents[number], chance))
        else:
            path.write_bytes(contents[number])
            with h5py.File(path, "r+") as file:
                tree._change_tree(file)
        own = sources[number].parent.name
        family = chance.choice([own, own, None, *FAMILIES])
        options = OPTIONS if family and chance.random() < 0.3 else None
        verb = convert.inspect if turn % 2 else convert.convert_checkpoint
        given = (path,) if turn % 2 else (path, out)
        refusal = None
        try:
            verb(*given, family=family, options=options)
        except GenaeError as error:
            refusal = error
        if refusal is not None:
            refused += 1
            assert str(refusal)
            assert not out.exists()
        shutil.rmtree(out, ignore_errors=True)
    assert 0 < refused < count
