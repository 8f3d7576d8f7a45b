"""Legacy checkpoints of Keras and TensorFlow, turned into safetensors without either of them.

    import convert

    report = convert.convert_checkpoint("chinese_L-12_H-768_A-12", "out/bert")
    with convert.open_checkpoint("bert_model.ckpt") as tensors:
        tensors["bert/embeddings/word_embeddings"].numpy()

Importing it needs nothing beyond the standard library: what a reader needs (numpy, h5py) is
imported when it is used.
"""

from zoo import lazy

__getattr__, __dir__, __all__ = lazy.attach(__name__)
