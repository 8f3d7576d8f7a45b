"""The way back: from a model's folder to a legacy checkpoint."""
