"""Training from cards, on `transformers.Trainer`."""

from zoo import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
