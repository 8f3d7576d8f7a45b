"""How texts become batches."""

from dataclasses import dataclass, field
from typing import Any

from zoo.errors import UsageError


@dataclass(frozen=True)
class TextOptions:
    """What a card's `[data]` says about texts, whatever their task.

    Attributes:
        columns: of the texts; none stands for those of the task.
        label: the column of labels; None stands for that of the task.
        labels: the classes in the order of their numbers, as a card names them or `find_labels`
            finds them in the training data; every split is numbered by these.
        max_length: in tokens, special ones included; what is longer is cut, and counted.
        packing: join texts, a separator behind each, into blocks of exactly `max_length` tokens.
        mask_rate: the share of tokens that masked language models predict.
        whole_words: mask all tokens of a word of jieba's, or none.
        group_by_length: batches of texts of similar lengths; the column `length` says which.
        streaming: the data set is read as it is trained on, and has no length.
        separator: what stands between the labels of a cell; None for "|", or "," where no cell
            has that.
        layout: of files of tags: "columns" or "segmented"; None for what they tell.
        scheme: how spans become tags of tokens, a key of `SCHEMES`; None for BIO, or for BMES of
            words apart by spaces.
        ends: whether the end of a span is its last character, "inclusive", or the one behind
            that, "exclusive"; None for what spans tell.
        head: the table of the head that learns; empty for that of the task.
        paragraphs: a text of a `.txt` file ends at a blank line, not at the end of each.

    Raises:
        UsageError: a number is out of its range.
    """

    columns: tuple[str, ...] = ()
    label: str | None = None
    labels: tuple[str, ...] = ()
    max_length: int = 128
    packing: bool = False
    mask_rate: float = 0.15
    whole_words: bool = False
    group_by_length: bool = False
    streaming: bool = False
    paragraphs: bool = False
    separator: str | None = None
    layout: str | None = None
    scheme: str | None = None
    ends: str | None = None
    head: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if twice := [name for name in self.labels if self.labels.count(name) > 1]:
            raise UsageError(f"labels names {twice[0]!r} twice; give each class a name of its own")
        if self.max_length < 2:
            raise UsageError(f"max_length must be at least 2 tokens, got {self.max_length}")
        if not 0 < self.mask_rate < 1:
            raise UsageError(f"mask_rate must be above 0 and below 1, got {self.mask_rate}")
        if self.group_by_length and (self.packing or self.streaming):
            other = "packing" if self.packing else "streaming"
            raise UsageError(
                f"group_by_length does not go with {other}: "
                + ("all blocks have one length" if self.packing else "lengths are not known ahead")
                + "; leave one of them out"
            )
