"""The same as one image: a panel for each head, a row of panels for each layer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from matplotlib import font_manager
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from zoo.evaluation.page import png_of
from zoo.plots import MAX_GRID_PIXELS

from .drawing import INK, OTHER_INK, READING, UPRIGHT, caption, columns, labels
from .reading import TITLES, Part
from .result import Attention
from .statistics import Statistics
from .tables import Table

DPI = 150
CELL, MIN_PANEL, CURVE = 0.085, 1.9, 0.7  # inches: of a token, a panel, a curve
GAP, LINE, COLUMN = 0.25, 0.11, 0.045  # inches: between panels, of a line, of a character
LARGE, MIDDLE, SMALL, LABEL = 9.0, 7.0, 5.5, 5.0  # points
RAMP = LinearSegmentedColormap.from_list("ink", ["white", INK])
SIGNED = LinearSegmentedColormap.from_list("signed", [OTHER_INK, "white", INK])
SANS, BOXES = "DejaVu Sans", "Last Resort"  # the second has a box for every character


@dataclass
class Sheet:
    """Where everything goes, in inches from the upper left, before the size is known."""

    width: float = 0.0
    height: float = GAP
    drawn: list[Callable[[Figure, float, float], Any]] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, size: float, **options: Any) -> None:
        """A text whose upper left is here."""

        def put(figure: Figure, width: float, height: float) -> None:
            figure.text(x / width, 1 - y / height, text, fontsize=size, va="top", **options)

        self.drawn.append(put)

    def axes(self, box: tuple[float, float, float, float], draw: Callable[[Any], Any]) -> None:
        """A panel: left, upper, width, height."""
        left, upper, wide, high = box
        self.width = max(self.width, left + wide + GAP)

        def put(figure: Figure, width: float, height: float) -> None:
            place = (left / width, 1 - (upper + high) / height, wide / width, high / height)
            draw(figure.add_axes(place))

        self.drawn.append(put)

    def figure(self) -> Figure:
        """All of it."""
        made = Figure(figsize=(self.width, self.height))
        for put in self.drawn:
            put(made, self.width, self.height)
        return made


def draw(found: Attention) -> bytes:
    """A PNG file, of at most 80 million pixels."""
    import matplotlib

    with matplotlib.rc_context({"font.family": fonts(found.text + (found.target or ""))[0]}):
        sheet = Sheet()
        names = " and ".join(reading.model for reading in found.readings)
        sheet.text(GAP, sheet.height, f"Attention of {names}", LARGE)
        sheet.text(GAP, sheet.height + 0.2, READING, SMALL)
        sheet.height += 0.5
        for kind in dict.fromkeys(part.name for one in found.readings for part in one.parts):
            parts = [
                (one.model, part) for one in found.readings for part in one.parts
                if part.name == kind
            ]  # fmt: skip
            _part(sheet, kind, parts)
        for reading in found.readings:
            _tables(sheet, reading.model, reading.tables)
        figure = sheet.figure()
        dpi = min(DPI, (MAX_GRID_PIXELS / (sheet.width * sheet.height)) ** 0.5)
        return png_of(figure, dpi)


def fonts(text: str) -> tuple[list[str], str]:
    """Installed fonts that between them have the characters, and the characters that none has."""
    wanted = {one for one in text if not one.isspace() and one.isprintable()}
    families = []
    entries = font_manager.fontManager.ttflist
    for entry in sorted(entries, key=lambda one: one.name != SANS):
        if entry.name in families or entry.name.startswith(BOXES):
            continue
        font = font_manager.get_font(entry.fname)
        known = {one for one in wanted if font.get_char_index(ord(one))}
        if known or entry.name == SANS:
            families.append(entry.name)
        wanted -= known
        if not wanted:
            break
    return families, "".join(sorted(wanted))


def _shown(tokens: Iterable[str], lacking: str) -> list[str]:
    """Labels; the number of a token, from 1 on, where no font has its characters."""
    return [
        str(place) if set(token) & set(lacking) else token
        for place, token in enumerate(labels(tokens), start=1)
    ]


def _part(sheet: Sheet, kind: str, parts: list[tuple[str, Part]]) -> None:
    """One kind of attention: a row of panels for each layer, models side by side."""
    sheet.text(GAP, sheet.height, TITLES[kind], LARGE)
    sheet.height += 0.25
    statistics = [part.statistics() for _, part in parts]
    for layer in range(max(len(part.layers) for _, part in parts)):
        left, height = GAP, 0.0
        for (model, part), found in zip(parts, statistics, strict=True):
            if layer < len(part.layers):
                left, high = _layer(sheet, left, model, part, layer, found[layer])
                height = max(height, high)
        sheet.height += height + GAP


def _layer(
    sheet: Sheet, left: float, model: str, part: Part, layer: int, found: list[Statistics]
) -> tuple[float, float]:
    """The heads of a layer; returns where the next model begins, and how high they are."""
    lacking = fonts("".join(part.queries + part.keys))[1]
    rows, tops = _shown(part.queries, lacking), _shown(part.keys, lacking)
    beside, above = (COLUMN * max(map(columns, one)) + 0.06 for one in (rows, tops))
    cell = max(CELL, MIN_PANEL / len(tops))
    wide, high = cell * len(tops), cell * len(rows)
    form = f": {part.forms[layer]}" if part.forms else ""
    sheet.text(left, sheet.height, f"{model}, layer {layer + 1}{form}", MIDDLE)
    upper = sheet.height + 0.2
    left += beside
    for head, (weights, one) in enumerate(zip(part.layers[layer], found, strict=True)):
        for place, line in enumerate((f"head {head + 1}", *caption(one))):
            sheet.text(left, upper + LINE * place, line, SMALL)

        def panel(axes: Any, weights: Any = weights, first: bool = head == 0) -> None:
            axes.imshow(
                weights.numpy(), cmap=RAMP, norm=PowerNorm(0.5, 0, 1), aspect="auto",
                interpolation="nearest",
            )  # fmt: skip
            axes.xaxis.tick_top()
            axes.set_xticks(range(len(tops)), tops, rotation=90, fontsize=LABEL)
            for text, token in zip(axes.get_xticklabels(), tops, strict=True):
                if columns(token) <= UPRIGHT:
                    text.set_rotation(0)
            axes.set_yticks(range(len(rows)), rows if first else [""] * len(rows), fontsize=LABEL)
            axes.tick_params(length=0, pad=2)
            axes.spines[:].set_linewidth(0.4)

        sheet.axes((left, upper + 3 * LINE + above + 0.04, wide, high), panel)
        left += wide + GAP
    return left + GAP, 0.2 + 3 * LINE + above + 0.04 + high


def _tables(sheet: Sheet, model: str, tables: list[Table]) -> None:
    """Logits by position and their singular values, a row for each layer and form."""
    rows: dict[tuple[str, int, str], list[Table]] = {}
    for table in tables:
        rows.setdefault((table.part, table.layer, table.form), []).append(table)
    for (part, layer, form), heads in rows.items():
        stack = "" if part == "self" else f"{part}, "
        title = f"{model}, {stack}layer {layer}: logits by position, {form}"
        sheet.text(GAP, sheet.height, title, MIDDLE)
        left, upper = GAP, sheet.height + 0.2
        for table in heads:
            line = f"head {table.head}: up to {table.logits.abs().max():.2f}, effective rank "
            sheet.text(left, upper, f"{line}{table.effective_rank():.1f}", SMALL)

            def matrix(axes: Any, table: Table = table) -> None:
                reach = float(table.logits.abs().max())
                axes.imshow(table.logits.numpy(), cmap=SIGNED, vmin=-reach, vmax=reach)
                _bare(axes)

            def curve(axes: Any, table: Table = table) -> None:
                axes.plot(table.singular_values().numpy(), color=INK, lw=0.8)
                axes.set_ylim(bottom=0)
                _bare(axes)

            sheet.axes((left, upper + LINE + 0.04, MIN_PANEL, MIN_PANEL), matrix)
            under = upper + LINE + MIN_PANEL + 0.1
            sheet.axes((left, under, MIN_PANEL, CURVE), curve)
            left += MIN_PANEL + GAP
        sheet.height = under + CURVE + GAP


def _bare(axes: Any) -> None:
    """Without ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_linewidth(0.4)
