"""TensorFlow's files: bundles, object graphs, V1 checkpoints."""
