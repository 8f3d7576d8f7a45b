"""The table of families: published scripts, by the names that `--family` takes."""

from convert.images import digits, mutual, pooled
from convert.images.rows import Family

FAMILIES: dict[str, Family] = {
    family.name: family for family in (*digits.FAMILIES, *pooled.FAMILIES, *mutual.FAMILIES)
}
