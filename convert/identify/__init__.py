"""Which family a checkpoint is of, told from names, order and shapes."""
