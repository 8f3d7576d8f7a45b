"""What tests of readers share."""

import tempfile

import pytest


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A folder for temporary files that must be empty in the end."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert list(place.iterdir()) == []
