"""log p(x) image by image: `run` does it whole, `estimate` by batches, `journal` keeps rows."""
