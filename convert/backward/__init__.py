"""The way out: from a model's folder to a legacy checkpoint."""
