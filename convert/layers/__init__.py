"""Keras models of whatever architecture: their JSON as data, a row for each kind of layer."""
