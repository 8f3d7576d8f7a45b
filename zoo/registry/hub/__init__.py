"""A hub: the public one, or any server of its protocol."""
