"""One module per metric, or per group that shares its work; `table` lists them all."""
