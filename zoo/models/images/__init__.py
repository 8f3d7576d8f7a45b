"""The island of image models: its modules travel to the Hub alone, by `from .sibling import x`."""
