"""bert4keras's classes of characters, and what it does with them, as steps of `tokenizers`."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import decoders, normalizers

#: bert4keras's ideographs; kana and Hangul are not among them.
CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def is_cjk(character: str) -> bool:
    """Whether bert4keras takes a character for an ideograph."""
    return any(low <= ord(character) <= high for low, high in CJK)


def is_punctuation(character: str) -> bool:
    """Whether bert4keras takes a character for punctuation."""
    code = ord(character)
    ascii_signs = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_signs or unicodedata.category(character).startswith("P")


#: Regular expressions of Oniguruma. Its tables of categories are newer than those of Python 3.10:
#: characters that Unicode got after version 13 may be classed as bert4keras's Python could not.
IDEOGRAPH = "[" + "".join(f"\\x{{{low:X}}}-\\x{{{high:X}}}" for low, high in CJK) + "]"
SIGN = r"[!-/:-@\[-`{-~\p{P}]"
CONTROL = r"[\x{FFFD}\p{Cc}\p{Cf}&&[^\t\n\r]]"
CASED = r"[\p{Cased}&&\P{Case_Ignorable}]"
#: The sigma that ends a word, which Python's `lower` knows and `Lowercase` does not.
FINAL_SIGMA = rf"(?<={CASED}\p{{Case_Ignorable}}*)\x{{3A3}}(?!\p{{Case_Ignorable}}*{CASED})"


def steps(do_lower_case: bool) -> list[normalizers.Normalizer]:
    """bert4keras's order: lower case, decomposition, accents; control characters never count."""
    from tokenizers import Regex, normalizers

    lower = [
        normalizers.Replace(Regex(FINAL_SIGMA), "\N{GREEK SMALL LETTER FINAL SIGMA}"),
        normalizers.Lowercase(),
        normalizers.NFD(),
        normalizers.Replace(Regex(r"\p{Mn}"), ""),
    ]
    return [*(lower if do_lower_case else []), normalizers.Replace(Regex(CONTROL), "")]


GAP = "\x01"  # a space, unless an ideograph is before it
#: bert4keras's `decode`: what becomes what, in each token ...
IN_A_TOKEN = (
    # It leaves out all that stands in brackets; for special tokens there is skip_special_tokens.
    (r"\A\[(?!(?:PAD|UNK|CLS|SEP|MASK|compound\d+)\]\z).*\]\z", ""),
    (rf"\A(?!##)(?!{IDEOGRAPH}\z)(?!{SIGN}\z)(?=.)", GAP),
    (rf"(?<=\A{SIGN})\z", " "),
    (r"\A##", ""),
)
#: ... and then in the text.
IN_THE_TEXT = (
    (rf"(?<={IDEOGRAPH}){GAP}", ""),
    (GAP, " "),
    (" +", " "),
    (r"(?<=') (?=(?:re|m|s|t|ve|d|ll) )", ""),
    (
        r"(?<=[\x{FF01}-\x{FF0D}\x{FF0F}\x{FF1A}-\x{FF20}\x{FF3B}-\x{FF40}\x{FF5B}-\x{FF64}"
        r"\x{3000}-\x{3003}\x{3008}-\x{3011}\x{3014}-\x{301F}\x{3030}\x{303E}\x{303F}\x{2013}"
        r"\x{2014}\x{2018}\x{2019}\x{201B}-\x{201F}\x{2026}\x{2027}\x{FE4F}\x{FE51}\x{FE54}\x{B7}"
        r"+\-/={(<\[]) ",
        "",
    ),
    # "1. 5" becomes "1.5", but a digit is used once: "1. 2. 3" becomes "1.2. 3".
    (r"(?<=(?:\A|[^ ]|(?:\A|[^.]) |(?:\A|\D)\. )\d\.(?: \d\. \d\.)*) (?=\d)", ""),
    (r"\A\s+|\s+\z", ""),
)


def joints() -> list[decoders.Decoder]:
    """bert4keras's `decode`, step by step."""
    from tokenizers import Regex, decoders

    each = [decoders.Replace(Regex(pattern), text) for pattern, text in IN_A_TOKEN]
    whole = [decoders.Replace(Regex(pattern), text) for pattern, text in IN_THE_TEXT]
    return [*each, decoders.Fuse(), *whole]
