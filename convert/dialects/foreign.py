"""Models of other kinds, known by a name that only they have: named as what they are.

Names are those of the authors' repositories: zihangdai/xlnet, openai/gpt-2, google-research's
mobilebert, yitu-opensource/ConvBert, tensor2tensor, allenai/bilm-tf, google-research/pegasus.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

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


#: `model_type` of models that transformers 4 had in TensorFlow and that are not converted.
MODEL_TYPES = frozenset(
    (
        *("bart", "blenderbot", "blenderbot-small", "blip", "camembert", "clip", "convbert"),
        *("ctrl", "data2vec-vision", "deberta", "deberta-v2", "deit", "distilbert", "dpr", "esm"),
        *("flaubert", "funnel", "gptj", "groupvit", "hubert", "idefics", "layoutlm", "layoutlmv3"),
        *("led", "longformer", "lxmert", "marian", "mbart", "mobilebert", "mobilevit", "mpnet"),
        *("opt", "pegasus", "rag", "rembert", "roberta-prelayernorm", "sam", "segformer"),
        *("speech_to_text", "swin", "tapas", "transfo-xl", "vision-encoder-decoder", "vit"),
        *("vit_mae", "wav2vec2", "whisper", "xglm", "xlm", "xlm-roberta", "xlnet"),
        *("convnext", "convnextv2", "cvt", "efficientformer", "regnet", "resnet", "swiftformer"),
        *("roberta", "encoder-decoder", "mistral"),
    )
)


def foreign_type(config: Mapping[str, Any], names: Iterable[str], file: str) -> str | None:
    """The type of a model of transformers that is not converted; None where it is none.

    Args:
        config: the companion of the weights.
        names: as stored.
        file: the name of the weights' file.
    """
    kind = config.get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_TYPES:
        return None
    own = file.startswith("tf_model") or any(re.search(r"(^|/)tf_\w+/", one) for one in names)
    return kind if own else None
