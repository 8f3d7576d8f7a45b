"""`entry`, `config` and `model` of one test belong together."""

import pytest

from tests.contract.subjects import VARIANTS, randomize
from zoo import catalog


@pytest.fixture(params=VARIANTS, ids="-".join)
def entry(request):
    """The catalog's row, for every variant of tests/tiny.py."""
    return catalog.ARCHITECTURES[request.param[0]]


@pytest.fixture
def config(request, entry, tiny_config):
    return tiny_config(*request.node.callspec.params["entry"])


@pytest.fixture
def model(entry, config):
    """A model in eval mode whose every tensor differs from its initial value, as if trained."""
    model = catalog.load(entry.model)(config).eval()
    randomize(model)
    return model
