"""The table of families: published scripts, by the names that `--family` takes."""

from convert.images import digits, mutual, pooled, quantized
from convert.images.rows import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for module in (digits, pooled, quantized, mutual)
    for family in module.FAMILIES
}
