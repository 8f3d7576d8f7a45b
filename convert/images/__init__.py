"""Generative image models of published Keras scripts: a table a family, sizes from the shapes."""
