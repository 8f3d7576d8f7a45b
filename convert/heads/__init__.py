"""Heads of fine-tuning: found in the files, fitted to a table of kinds, converted."""
