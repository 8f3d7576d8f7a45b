"""The shape of latent space: where codes lie, how they fill it, and what lies between them."""
