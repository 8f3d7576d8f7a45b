"""What tensors are called in a file, and which of them a training left."""
