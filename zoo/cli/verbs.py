"""The table of verbs, as strings: `genae list` imports nothing for other verbs."""

from typing import NamedTuple


class Verb(NamedTuple):
    """One verb: where its function is, its line in `genae --help`, an example.

    Processes of `torchrun` do `together` what says so; all else each would do for itself, to the
    same files at the same time.
    """

    function: str
    help: str
    epilog: str
    together: bool = False


VERBS = {
    "list": Verb("zoo.cli.models:list_", "Show the zoo as a table.", "genae list vae"),
    "info": Verb(
        "zoo.cli.models:info",
        "Show a model's card and its measured numbers.",
        "genae info genae/eae-mnist",
    ),
    "sample": Verb(
        "zoo.cli.images:sample",
        "Draw new images from a model.",
        "genae sample genae/eae-mnist -n 64 --seed 0 -o digits.png",
    ),
    "reconstruct": Verb(
        "zoo.cli.images:reconstruct",
        "Show images beside their reconstructions.",
        "genae reconstruct genae/eae-mnist IMAGES -o pairs.png",
    ),
    "interpolate": Verb(
        "zoo.cli.images:interpolate",
        "Walk from one image to another through a model's codes.",
        "genae interpolate genae/eae-mnist A.png B.png -o walk.png",
    ),
    "energy": Verb(
        "zoo.cli.energies:energy",
        "Print energies of images, or show a model of the plane.",
        "genae energy genae/dde-gaussians-2d --grid -o plane.png",
    ),
    "denoise": Verb(
        "zoo.cli.energies:denoise",
        "Add noise to images and denoise them by a model's score.",
        "genae denoise genae/mdsm-fashion-mnist IMAGES --sigma 0.3 -o clean.png",
    ),
    "inpaint": Verb(
        "zoo.cli.energies:inpaint",
        "Hide a part of images and fill it in.",
        "genae inpaint genae/dde-mnist examples-mnist --mask lower -o filled.png",
    ),
    "new": Verb(
        "zoo.cli.new:new",
        "Write a card for your own images or texts.",
        "genae new lab/clothes --data images --architecture vae",
    ),
    "train": Verb(
        "zoo.cli.train:train",
        "Train a model from its card.",
        "genae train cards/vae-mnist --output out/vae-mnist",
        together=True,
    ),
    "evaluate": Verb(
        "zoo.cli.evaluate:evaluate",
        "Measure a model and compare with what its card states.",
        "genae evaluate genae/eae-mnist",
        together=True,
    ),
    "compress": Verb(
        "zoo.cli.compress:compress",
        "Compress images without loss.",
        "genae compress IMAGES digits.gnz --model genae/vae-mnist-8bit",
    ),
    "decompress": Verb(
        "zoo.cli.compress:decompress",
        "Write the images of a compressed file.",
        "genae decompress digits.gnz digits",
    ),
    "geometry": Verb(
        "zoo.cli.geometry:geometry",
        "Describe the shape of a model's latent space, on one page.",
        "genae geometry genae/vae-mnist-2d --data mnist -o plane.html",
    ),
    "gallery": Verb(
        "zoo.cli.gallery:gallery",
        "Write one page on which models run.",
        "genae gallery -o gallery.html",
    ),
    "probe": Verb(
        "zoo.cli.probe:probe",
        "Measure what a classifier can read from a frozen encoder.",
        "genae probe genae/vae-mnist --data mnist",
    ),
    "neighbors": Verb(
        "zoo.cli.neighbors:neighbors",
        "Find the nearest neighbours of an image in a representation.",
        "genae neighbors genae/vae-mnist examples-mnist -o nearest.png",
    ),
    "encode": Verb(
        "zoo.cli.encoding:encode",
        "Write vectors of every row of a data set, in Parquet files.",
        "genae encode genae/vae-mnist examples-mnist -o out/vectors",
        together=True,
    ),
    "density": Verb(
        "zoo.cli.density:density",
        "Estimate how likely images are under a model.",
        "genae density genae/vae-mnist --data mnist --binarize frozen --number 100",
        together=True,
    ),
    "inspect": Verb(
        "zoo.cli.convert:inspect",
        "Show what a legacy checkpoint is and would become.",
        "genae inspect chinese_L-12_H-768_A-12",
    ),
    "convert": Verb(
        "zoo.cli.convert:convert",
        "Turn a legacy checkpoint into a transformers folder.",
        "genae convert chinese_L-12_H-768_A-12 out/bert-base-chinese",
    ),
    "export": Verb(
        "zoo.cli.exporting:export",
        "Write a model for ONNX and others, or back for Keras.",
        "genae export out/bert-base-chinese out/legacy --to keras-hdf5",
    ),
    "fill-mask": Verb(
        "zoo.cli.text:fill_mask",
        "Fill in the masked tokens of a text.",
        "genae fill-mask out/bert-poetry '舉頭望明[MASK]'",
    ),
    "classify": Verb(
        "zoo.cli.labels:classify",
        "Label whole texts, or pairs of them.",
        "genae classify out/sentiment '服務很好' '房間太小'",
    ),
    "tag": Verb(
        "zoo.cli.labels:tag",
        "Label the tokens of texts.",
        "genae tag out/tagger --data news.txt -o tags.jsonl",
    ),
    "extract": Verb(
        "zoo.cli.labels:extract",
        "Find entities or relations in texts.",
        "genae extract out/pointer --data news.jsonl --column title",
    ),
    "answer": Verb(
        "zoo.cli.questions:answer",
        "Find the answers to a question in texts.",
        "genae answer out/squad '房間在三樓。' --question '房間在哪裡'",
    ),
    "attention": Verb(
        "zoo.cli.attention:attention",
        "Show where the heads of a text model look.",
        "genae attention genae/bert-poetry-zh 舉頭望明月 -o heads.html",
    ),
    "generate": Verb(
        "zoo.cli.text:generate",
        "Let a language model write a text on.",
        "genae generate genae/tiny-gpt2 '床前' --num 3 --seed 0",
    ),
    "card": Verb(
        "zoo.cli.card:card",
        "Write README and manifest again after a card changed.",
        "genae card out/vae-mnist --set license=mit",
    ),
    "pull": Verb(
        "zoo.cli.models:pull",
        "Copy a model into a folder and verify the hash of every file.",
        "genae pull genae/eae-mnist --to out/eae-mnist",
    ),
    "push": Verb(
        "zoo.cli.sharing:push",
        "Publish a model on the Hub, on another hub or in a folder.",
        "genae push out/vae-mnist me/vae-mnist --dry-run",
    ),
    "diff": Verb(
        "zoo.cli.living:diff",
        "Compare two models or two versions of one.",
        "genae diff genae/vae-mnist genae/vae-fashion-mnist",
    ),
    "withdraw": Verb(
        "zoo.cli.living:withdraw",
        "Withdraw a published version, with the reason.",
        'genae withdraw me/vae-mnist@v1.0.0 --from ./models --why "wrong numbers"',
    ),
    "registry": Verb(
        "zoo.cli.sharing:registry_",
        "Show where models are looked for, and in which order.",
        "genae registry genae/eae-mnist",
    ),
    "verify": Verb(
        "zoo.cli.models:verify",
        "Check that a model's files are what they should be.",
        "genae verify genae/eae-mnist",
    ),
    "env": Verb(
        "zoo.cli.environment:env",
        "Show versions, devices and folders, for a bug report.",
        "genae env",
    ),
}
