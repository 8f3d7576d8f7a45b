"""Texts cut into words before WordPiece or SentencePiece, as bert4keras's `pre_tokenize` does.

Source: `Tokenizer` and `SpTokenizer` of bert4keras 0.11.5. The module travels with every folder
that needs it; what it needs besides transformers is jieba.
"""

import contextlib
import copy
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tokenizers import NormalizedString, PreTokenizedString, Regex, Tokenizer, models, normalizers
from tokenizers.pre_tokenizers import PreTokenizer
from transformers import PreTrainedTokenizerFast

#: Gives the words of a text, in order.
Segment = Callable[[str], Iterable[str]]


def jieba_words(text: str) -> Iterable[str]:
    """`jieba.cut(text, HMM=False)`: words of jieba's dictionary, the user's own included.

    Args:
        text: any; an empty one has no words.

    Returns:
        The words in order, which joined are the text.

    Raises:
        ImportError: jieba is not installed.
    """
    try:
        with warnings.catch_warnings():
            # jieba 0.42 is older than two warnings of Python's: about escapes in its regular
            # expressions, and about pkg_resources, which it imports where there is one.
            warnings.simplefilter("ignore")
            import jieba
    except ImportError:
        raise ImportError(
            "this tokenizer cuts texts into words with jieba, which is not installed: "
            'pip install "genae[chinese]", or jieba alone'
        ) from None
    jieba.setLogLevel("INFO")  # else it tells stderr that it reads its dictionary
    words: Iterable[str] = jieba.cut(text, HMM=False)
    return words


#: How `tokenizer.json` calls a way to cut texts into words.
SEGMENTS: dict[str, Segment] = {"jieba": jieba_words}


class WordSplitter:
    """A step of `tokenizers` that cuts texts into words, and words as the rest of them wants.

    Args:
        segment: gives the words of a text, in order; what is between them is left out.
        whole: a vocabulary whose words stay as they are.
        each: what is done to each other word, or None.
        splits: (pattern, behavior) of the cuts inside them, as `tokenizers.pre_tokenizers.Split`.

    Raises:
        ValueError: when called, where a word is not in the text, or not behind the one before.
    """

    def __init__(
        self,
        segment: Segment,
        whole: Iterable[str] = (),
        each: normalizers.Normalizer | None = None,
        splits: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.segment = segment
        self.whole = frozenset(whole)
        self.each = each
        self.splits = [(Regex(pattern), behavior) for pattern, behavior in splits]

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        """Cut a text in place; `tokenizers` calls it, once a text."""
        text.split(self._split)

    def _split(self, _: int, text: NormalizedString) -> list[NormalizedString]:
        """The pieces of one part of a text, in order."""
        whole, position = text.normalized, 0
        pieces: list[NormalizedString] = []
        for word in self.segment(whole):
            begin = whole.find(word, position)
            if begin < 0:
                raise ValueError(
                    f"{word!r} is not in the rest of {whole!r}: `segment` must give the words of "
                    "a text, in order and as they stand there"
                )
            position = begin + len(word)
            part = text[begin:position]
            if part is not None:
                pieces += self._pieces(word, part)
        return pieces

    def _pieces(self, word: str, text: NormalizedString) -> list[NormalizedString]:
        """A word as it is, or cut as the rest of them are."""
        if word in self.whole:
            return [text]
        if self.each is not None:
            self.each.normalize(text)
        pieces = [text]
        for pattern, behavior in self.splits:
            pieces = [part for piece in pieces for part in piece.split(pattern, behavior)]
        return pieces


class GenaeWordTokenizer(PreTrainedTokenizerFast):
    """A tokenizer that cuts texts into words first.

    With WordPiece, a word that is in the vocabulary is one token; the others are tokenized as
    ever. Lower case comes before the words, so they are those of the lower-cased text. With
    SentencePiece, each word is tokenized as a text of its own. Both as in bert4keras.

    `offset_mapping` has positions in the text as it was passed, in characters: words are only cut
    out of it.

    Args:
        *args: as of `PreTrainedTokenizerFast`.
        segment: gives the words of a text, instead of the way that `tokenizer.json` names. It is
            not saved.
        **kwargs: as of `PreTrainedTokenizerFast`; `tokenizer_file` must be there.

    Raises:
        ValueError: `tokenizer.json` names a way to cut words that is not known here.
        ImportError: jieba is not installed.
    """

    def __init__(self, *args: Any, segment: Segment | None = None, **kwargs: Any) -> None:
        described = json.loads(Path(kwargs.pop("tokenizer_file")).read_text(encoding="utf-8"))
        self.words = described["pre_tokenizer"]
        described["pre_tokenizer"] = None
        name = self.words["segment"]
        if segment is None and name not in SEGMENTS:
            raise ValueError(f"no way to cut words called {name!r}; known: {', '.join(SEGMENTS)}")
        self.segment = segment or SEGMENTS[name]
        self.segment("")  # what it needs is missing now or not at all
        backend = Tokenizer.from_str(json.dumps(described))
        super().__init__(*args, tokenizer_object=backend, **kwargs)
        self._cut_words()

    @classmethod
    def convert_to_native_format(
        cls, trust_remote_code: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """All that `__init__` needs is in the file: nothing is made of its parts."""
        return kwargs

    def _cut_words(self) -> None:
        """Put the step that cuts words into the backend."""
        backend = self.backend_tokenizer
        self.normalizer = backend.normalizer
        steps = list(self.normalizer or ())
        whole = self.words["whole_text_steps"]
        within = (self.words["within"] or {}).get("pretokenizers", ())
        splitter = WordSplitter(
            self.segment,
            backend.get_vocab(with_added_tokens=False)
            if isinstance(backend.model, models.WordPiece)
            else (),
            normalizers.Sequence(steps[whole:]) if steps[whole:] else None,
            [(part["pattern"]["Regex"], part["behavior"].lower()) for part in within],
        )
        backend.normalizer = normalizers.Sequence(steps[:whole])
        backend.pre_tokenizer = PreTokenizer.custom(splitter)

    @contextlib.contextmanager
    def _without_words(self) -> Iterator[Tokenizer]:
        """The backend as it can be written: a step in Python cannot."""
        backend = self.backend_tokenizer
        words = backend.pre_tokenizer
        first = backend.normalizer
        backend.pre_tokenizer, backend.normalizer = None, self.normalizer
        try:
            yield backend
        finally:
            backend.pre_tokenizer, backend.normalizer = words, first

    def _described(self) -> str:
        """The content of `tokenizer.json`, with the way that words are cut."""
        with self._without_words() as backend:
            described = json.loads(backend.to_str())
        return json.dumps(described | {"pre_tokenizer": self.words}, indent=2, ensure_ascii=False)

    def _save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        file_names: tuple[str, ...],
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
    ) -> tuple[str, ...]:
        """Write `tokenizer.json`; gives the names of all files that were written."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        path = Path(save_directory, f"{prefix}tokenizer.json")
        path.write_text(self._described() + "\n", encoding="utf-8")
        return (*file_names, str(path))

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        with self._without_words() as backend:
            state["_tokenizer"] = copy.deepcopy(backend)
        state["normalizer"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cut_words()
