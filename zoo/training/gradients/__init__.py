"""Gradients changed between backward and step: small operations, in order, in one chain."""
