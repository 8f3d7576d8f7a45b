"""Outputs of converted models held against records: the only bridge to torch and the models."""
