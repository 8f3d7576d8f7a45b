"""Models of other kinds, known by a name that only they have: told as what they are.

Names are those of the authors' repositories: zihangdai/xlnet, openai/gpt-2, google-research's
mobilebert, yitu-opensource/ConvBert, tensor2tensor, allenai/bilm-tf, google-research/pegasus.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Names = tuple[tuple[str, str], ...]

#: A pattern of a whole name, and whose it is: models with all of a family's tensors and more.
ALIKE: Names = (
    (r"(?:.*/)?bert/encoder/layer_\d+/(?:bottleneck|ffn_layer_\d+)/.+", "MobileBERT"),
    (r"(?:.*/)?electra/encoder/layer_\d+/attention/self/conv_\w+/.+", "ConvBERT"),
)
#: The same of models with others.
OTHERS: Names = (
    (r"(?:.*/)?model/transformer/(?:layer_\d+/rel_attn|mask_emb)/.+", "XLNet"),
    (r"(?:.*/)?transformer/(?:layer_\d+/rel_attn|adaptive_embed)/.+", "Transformer-XL"),
    (r"(?:.*/)?model/h\d+/(?:attn|mlp)/c_\w+/w", "OpenAI's GPT-2"),
    (r"(?:.*/)?transformer/body/.+", "tensor2tensor's Transformer"),
    (r"(?:.*/)?bilm/.+", "ELMo"),
    (r"(?:.*/)?decoder/layer_\d+/memory_attention/.+", "Pegasus"),
    (r"(?:model|discriminator)/(?:encoder|decoder)/block_\d+/\d+/.+", "Funnel-Transformer"),
    (r"(?:.*/)?encoder_layer_\d+_multi_head_att_.+", "PaddlePaddle's ERNIE"),
    (r"(?:.*/)?distilbert/.+", "transformers' DistilBERT"),
    (r"(?:.*/)?(?:xlm_)?roberta/.+", "transformers' RoBERTa"),
    (r"(?:.*/)?deberta/.+", "transformers' DeBERTa"),
    (r"(?:.*/)?m?bart/.+", "transformers' BART"),
    (r"(?:resnet_v\d|vgg_\d+|Inception|Mobilenet)\w*/.+", "an image classifier of TensorFlow"),
    (r"(?:FeatureExtractor|\w*BoxPredictor\w*)/.+", "an object detector of TensorFlow"),
    (r"generator(?:_predictions)?/.+", "ELECTRA's generator alone"),
    (r"[^/]+\.(?:weight|bias)", "a PyTorch model"),
    (r"(?:.*/)?(?:encoder|decoder)/layer_\d+/self_attention/[qkv]_proj/kernel", "Pegasus"),
)


def foreign(names: Iterable[str], tables: Names = (*ALIKE, *OTHERS)) -> tuple[str, str] | None:
    """Whose names they are, and one of them; None where nobody's that are known.

    Args:
        names: as stored.
        tables: what is known.
    """
    for name in names:
        for pattern, title in tables:
            if re.fullmatch(pattern, name):
                return title, name
    return None
