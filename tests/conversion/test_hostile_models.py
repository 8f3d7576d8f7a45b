"""Damaged SentencePiece models end in an error of ours, or in a tokenizer that stays calm."""

import random
import resource
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from convert import tokenizers
from convert.tokenizers.spm_model import check_charsmap
from convert.wire.protobuf import WireError, fields
from tests.conversion.spm_models import BYTES, FOLDER, model, piece
from tests.conversion.test_damaged_files import damaged
from zoo.errors import GenaeError

TEXT = "Hello \uff11\uff12 ﬁ e\u0301 今天天气\u3000\u200b [MASK] ½ \n<0x41> 😀"
#: The recorded ones; a model without normalization, of which most mutations still make a model;
#: and one with every kind of piece.
SEEDS = (
    (FOLDER / "sp_t5.model").read_bytes(),
    (FOLDER / "sp_cpm.model").read_bytes(),
    model("sp_cpm", more=BYTES + piece("\n", 0, 4) + piece("abc", -1, 5)),
)
CHARSMAP = dict(fields(dict(fields(SEEDS[0]))[3]))[2]


def fuzz(folder, count, seed):
    """Mutated models: only our errors, none slow; what is read can be written and used."""
    chance = random.Random(seed)
    path = folder / "mutated.model"
    opened = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for turn in range(count):
        path.write_bytes(damaged(SEEDS[turn % len(SEEDS)], chance))
        start = time.process_time()
        try:
            read = tokenizers.read_spm(path)
        except GenaeError as error:
            assert path.name in str(error)  # noqa: PT017
        else:
            opened += 1
            tokenizers.write_sentencepiece(folder, read, max_length=8)
            made = Tokenizer.from_file(str(folder / "tokenizer.json"))
            ids = made.encode(TEXT).ids
            assert all(0 <= number < len(read.pieces) for number in ids)
            made.decode(ids, skip_special_tokens=False)
        assert time.process_time() - start < 1
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert grown < 2 * len(SEEDS[0]) + 200e6
    return opened


def test_mutated_models_end_in_our_errors(tmp_path):
    assert 0 < fuzz(tmp_path, 200, 0) < 200


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(6 * 3600)
def test_a_hundred_thousand_mutated_models(tmp_path):
    assert 0 < fuzz(tmp_path, 100_000, 1) < 100_000


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.model"
    path.write_bytes(content)
    with pytest.raises(GenaeError, match=r"any\.model"):  # too short for a model with every part
        tokenizers.read_spm(path)


@given(st.integers(0, len(CHARSMAP) - 1), st.integers(1, 255))
@example(7, 147)  # the root looks like a replacement's place
def test_a_charsmap_that_is_let_through_leads_nowhere_else(place, change):
    from tokenizers import normalizers

    spoilt = bytearray(CHARSMAP)
    spoilt[place] ^= change
    try:
        check_charsmap(bytes(spoilt))
    except WireError:
        return
    normalizers.Precompiled(bytes(spoilt)).normalize_str(TEXT + "".join(map(chr, range(1, 999))))
