"""Keras's files: HDF5 of all years and Keras 3's archives."""
