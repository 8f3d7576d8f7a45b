"""Other names for the same layers; a new dialect is one table and one line here."""

from convert.dialects import brightmart, garden, keras_layers, mesh, transformers_tf
from convert.dialects.base import Dialect, Rule, translated

__all__ = ["DIALECTS", "Dialect", "Rule", "translated"]

#: In the order in which they are tried; the first that makes names of a known family is taken.
DIALECTS: tuple[Dialect, ...] = (
    *garden.DIALECTS,
    *brightmart.DIALECTS,
    *keras_layers.DIALECTS,
    *transformers_tf.DIALECTS,
    *mesh.DIALECTS,
)
