"""A page on which models run: networks as data, an engine of genae's own, sections to use them."""

from zoo import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
