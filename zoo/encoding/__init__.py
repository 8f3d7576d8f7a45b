"""Vectors of data sets of any size, in Parquet files, and the nearest among them."""
