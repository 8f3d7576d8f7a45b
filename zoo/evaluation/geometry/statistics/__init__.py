"""Statistics of codes, one module per group; `geometry.table` lists them all."""
