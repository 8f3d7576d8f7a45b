"""Training against perturbed embeddings, and other objectives made of several runs of a model."""
