"""Texts as data: found by name, tokenized once, served as what a task's model reads."""

from zoo import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
