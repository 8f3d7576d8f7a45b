"""Which family a checkpoint is of, found by names, order and shapes."""
