"""Models as graphs and vectors of other runtimes, each compared with PyTorch before it is kept."""
