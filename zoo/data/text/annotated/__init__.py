"""Annotated texts of every public form, read into one: spans of characters."""
