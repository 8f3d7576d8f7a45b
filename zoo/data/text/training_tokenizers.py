"""Tokenizers trained from texts, which `AutoTokenizer` loads without genae."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from zoo.errors import UsageError
from zoo.hints import did_you_mean

from .encoding import check_texts

PAD, UNK, CLS, SEP, MASK = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: What each is for. Models that generate begin with [CLS] and end with [SEP].
ROLES = {
    "pad_token": PAD, "unk_token": UNK, "mask_token": MASK, "cls_token": CLS, "sep_token": SEP,
    "bos_token": CLS, "eos_token": SEP,
}  # fmt: skip
#: What is added to one text, and to a pair of them, by the special tokens that are added.
TEMPLATES = {
    "": ("$A", "$A $B"),
    SEP: (f"$A {SEP}", f"$A {SEP} $B {SEP}"),
    f"{CLS} {SEP}": (f"{CLS} $A {SEP}", f"{CLS} $A {SEP} $B:1 {SEP}:1"),
}
NUM_BYTES = 256


def train_characters(texts: Iterable[str], size: int, lowercase: bool) -> Tokenizer:
    """Every character a token; those that are not among the most frequent are unknown."""
    lower = normalizers.Lowercase()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(lower.normalize_str(text) if lowercase else text)
    kept = sorted(counts, key=lambda character: (-counts[character], character))
    tokens = [*SPECIAL_TOKENS, *kept[: size - len(SPECIAL_TOKENS)]]
    # Pairs without merges: four times as fast as a vocabulary of words that are cut apart first.
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=UNK))
    if lowercase:
        tokenizer.normalizer = lower
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def train_wordpiece(texts: Iterable[str], size: int, lowercase: bool) -> Tokenizer:
    """BERT's WordPiece: words cut at spaces and punctuation, Chinese characters one by one."""
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    cutter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    alphabet: list[str] = []
    for character in sorted(counts, key=lambda each: (-counts[each], each)):
        cut = cutter.pre_tokenize_str(normalizer.normalize_str(f"a{character}"))
        joins = [piece for piece, _ in cut] == [f"a{character}"]
        forms = [character, f"##{character}"] if joins else [character]
        if len(SPECIAL_TOKENS) + len(alphabet) + len(forms) > size:
            break
        alphabet += [] if character.isspace() else forms
    # The trainer numbers the pieces of its alphabet as its hash table has them, and breaks ties
    # by these numbers; as special tokens they have the same number every time.
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL_TOKENS, *alphabet],
        limit_alphabet=0,
        show_progress=False,
    )
    trained = Tokenizer(models.WordPiece(unk_token=UNK))
    trained.normalizer, trained.pre_tokenizer = normalizer, cutter
    trained.train_from_iterator(texts, trainer)
    tokenizer = Tokenizer(models.WordPiece(vocab=trained.get_vocab(), unk_token=UNK))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, cutter
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def train_bytes(texts: Iterable[str], size: int, lowercase: bool) -> Tokenizer:
    """Pairs of bytes: nothing is unknown, and every text comes back exactly."""
    tokenizer = Tokenizer(models.BPE())
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def train_words(texts: Iterable[str], size: int, lowercase: bool) -> Tokenizer:
    """Every word between white space a token; the less frequent ones are unknown."""
    lower = normalizers.Lowercase()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update((lower.normalize_str(text) if lowercase else text).split())
    kept = sorted(counts.keys() - set(SPECIAL_TOKENS), key=lambda word: (-counts[word], word))
    tokens = [*SPECIAL_TOKENS, *kept[: size - len(SPECIAL_TOKENS)]]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token=UNK))
    if lowercase:
        tokenizer.normalizer = lower
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


class Kind(NamedTuple):
    """A way to cut texts into tokens.

    Attributes:
        train: makes the tokenizer of texts, a size, and whether texts are lower-cased.
        min_size: of the vocabulary.
    """

    train: Callable[[Iterable[str], int, bool], Tokenizer]
    min_size: int


KINDS = {
    "characters": Kind(train_characters, len(SPECIAL_TOKENS) + 1),
    "wordpiece": Kind(train_wordpiece, len(SPECIAL_TOKENS) + 1),
    "bytes": Kind(train_bytes, len(SPECIAL_TOKENS) + NUM_BYTES),
    "words": Kind(train_words, len(SPECIAL_TOKENS) + 1),
}


class Texts:
    """All texts of some columns, one after the other, to be read as often as wanted.

    Args:
        dataset: of `datasets`, streamed or not.
        columns: of texts, or of lists of words, which are texts then.

    Raises:
        UsageError: of reading, a value is no text.
    """

    def __init__(self, dataset: Any, columns: Iterable[str]) -> None:
        self.dataset, self.columns = dataset, tuple(columns)

    def __iter__(self) -> Iterator[str]:
        start = 0
        for batch in self.dataset.select_columns(list(self.columns)).iter(batch_size=1000):
            for column in self.columns:
                for row, value in enumerate(batch[column], start):
                    texts = value if isinstance(value, list) else [value]
                    check_texts(((row, text) for text in texts), column)
                    yield from texts
            start += len(batch[column])


def train_tokenizer(
    texts: Iterable[str],
    kind: str,
    size: int,
    *,
    lowercase: bool = False,
    template: str = f"{CLS} {SEP}",
) -> Any:
    """Train a tokenizer; the same texts in the same order give the same one.

    Args:
        texts: `Texts`, a column of a data set, or any other collection; they need not fit into
            memory, but for those of an iterator.
        kind: `characters`, `wordpiece`, `bytes` (pairs of bytes, of which any text comes back
            exactly; characters give back texts whose characters they all know), or `words`
            (what stands between white space).
        size: of the vocabulary at most, special tokens included; smaller if the texts have no
            more tokens.
        lowercase: lower-case texts first; they then come back in lower case.
        template: the special tokens around a text: "[CLS] [SEP]", "[SEP]" behind it, or none, as
            `Task.template` of the task asks.

    Returns:
        A `PreTrainedTokenizerFast` with the tokens [PAD] [UNK] [CLS] [SEP] [MASK] as 0 to 4, of
        which [CLS] and [SEP] also begin and end texts that are generated.

    Raises:
        UsageError: the kind is not known, the size is too small for it, or there are no texts.
    """
    if kind not in KINDS:
        raise UsageError(f"no kind of tokenizer is called {kind!r}. {did_you_mean(kind, KINDS)}")
    if size < KINDS[kind].min_size:
        raise UsageError(
            f"a vocabulary of {kind} needs a size of at least {KINDS[kind].min_size}, got {size}"
        )
    texts = list(texts) if isinstance(texts, Iterator) else texts  # which are read twice
    if next(iter(texts), None) is None:
        raise UsageError("a tokenizer cannot be trained from no texts; give a split that has some")
    tokenizer = KINDS[kind].train(texts, size, lowercase)
    single, pair = TEMPLATES[template]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single,
        pair=pair,
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (CLS, SEP)],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        padding_side="right",
        **ROLES,
    )
