"""The language of the weight tables: rows, operations, steps, names."""
