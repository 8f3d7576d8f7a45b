"""The card of a model: read and checked, as TOML again, and as a page. Standard library only."""

from zoo import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
