"""Lossless compression of images by bits back, in files that any machine opens.

Neural networks in floating point do not give the same bits on another machine, and a decoder that
differs from the encoder in one bit loses everything behind it. Here networks run on integers
(`integers`), distributions come from stored tables by steps that IEEE 754 fixes to the last bit
(`tables`, `distributions`), and `constriction` codes (`chains`). The format is in `container`.
"""

from zoo import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
