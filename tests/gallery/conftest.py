"""The page as it is written where no models are named."""

from pathlib import Path

import pytest

from zoo.gallery.writing import make_gallery


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its file."""
    return make_gallery().save(tmp_path_factory.mktemp("gallery") / "gallery.html")
