"""Statistics of codes, a module for each group of them; `geometry.table` lists them all."""
