"""Measuring models: a table of metrics, and what a card states beside what is measured."""

from zoo import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
