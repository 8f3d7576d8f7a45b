from zoo.compression.codec import Codec as Codec
from zoo.compression.codec import load_codec as load_codec
from zoo.compression.verbs import compress as compress
from zoo.compression.verbs import decompress as decompress
from zoo.compression.verbs import predict as predict
