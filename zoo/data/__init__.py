"""Images as data: found by name, decoded once, served by the batch."""

from zoo import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
