"""Legacy checkpoints of Keras and TensorFlow, turned into safetensors without either of them.

This release reserves the package; the readers, the weight tables and their invertible operations
come next. Importing it needs nothing beyond the standard library, and it will stay that way: what
a reader needs (numpy, h5py, safetensors) is imported by the function that reads.
"""
