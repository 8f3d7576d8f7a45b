"""What is returned: readings of one model or two, and their numbers for programs."""

from dataclasses import asdict, dataclass
from typing import Any

from .reading import Part, Reading
from .statistics import average


@dataclass(frozen=True)
class Attention:
    """What models do with a text.

    Attributes:
        text: as given.
        target: what decoders read, as given.
        readings: of each model, in the order given.
    """

    text: str
    target: str | None
    readings: list[Reading]

    def as_dict(self) -> dict[str, Any]:
        """The numbers, for JSON; weights themselves are `readings[0].parts[0].layers`."""
        return {
            "text": self.text,
            "target": self.target,
            "models": [
                {
                    "model": reading.model,
                    "parts": [_part(part) for part in reading.parts],
                    "tables": [
                        {
                            "part": table.part,
                            "layer": table.layer,
                            "head": table.head,
                            "form": table.form,
                            "effective_rank": table.effective_rank(),
                            "singular_values": table.singular_values().tolist(),
                        }
                        for table in reading.tables
                    ],
                }
                for reading in self.readings
            ],
        }


def _part(part: Part) -> dict[str, Any]:
    layers = part.statistics()
    return {
        "part": part.name,
        "tokens": part.queries,
        "attended_tokens": part.keys,
        "uniform": asdict(part.uniform()),
        "layers": [
            {
                "layer": number,
                "form": part.forms[number - 1] if part.forms else None,
                "mean": asdict(average(heads)),
                "heads": [{"head": i, **asdict(one)} for i, one in enumerate(heads, start=1)],
            }
            for number, heads in enumerate(layers, start=1)
        ],
    }
