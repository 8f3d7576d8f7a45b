"""The page: every layer and head as a map, and the weight under the pointer."""

import base64
import html
import json
from collections.abc import Iterator
from itertools import groupby

import numpy as np
from torch import Tensor

from zoo.evaluation.page import page, png_url

from .drawing import COLUMNS, READING, UPRIGHT, caption, columns, ink, labels, signed_ink
from .reading import TITLES, Part
from .result import Attention
from .statistics import Statistics, average
from .tables import Table

CELL, COLUMN, GAP = 10, 5.4, 4  # of a map's own units: a token, a column of its label
CROWDED = 24  # tokens from which small maps have no labels
STYLE = """
:root { color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ee; --paper: #14181d; --faint: #9fabb8; --line: #313a45; --shade: #1d232b;
    --accent: #7fb0e6; --off: #f0907f; }
  figure svg image { filter: brightness(1.9); }
}
body { max-width: 100rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; } h4 { font-size: .9rem; margin: 0 0 .4rem; }
a { color: var(--accent); }
blockquote { margin: 0 0 1rem; padding: .5rem 1rem; background: var(--shade);
  border-left: 4px solid var(--accent); overflow-wrap: anywhere; }
table { width: auto; } th.m { border-left: 1px solid var(--line); }
td.m { border-left: 1px solid var(--line); }
.twins { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 2rem; }
.heads { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem; }
.heads figure:not(:target) { max-width: 24rem; }
figure svg { display: block; width: 100%; height: auto; color: var(--ink); }
figure svg image { image-rendering: pixelated; }
figure b { color: var(--ink); }
figcaption { font-size: .75rem; line-height: 1.35; }
.crowded figure:not(:target) use { visibility: hidden; }
.close { display: none; }
figure:target { position: fixed; inset: 0; z-index: 1; overflow: auto; background: var(--paper);
  padding: 1rem; display: flex; flex-direction: column; align-items: center; }
figure:target svg { width: auto; height: min(100vh - 6rem, 4px * var(--tall)); max-width: 100%; }
figure:target figcaption { font-size: .9rem; } figure:target .close { display: inline; }
#under { position: fixed; z-index: 2; pointer-events: none; padding: .1rem .5rem;
  font-size: .85rem; background: var(--ink); color: var(--paper); border-radius: 3px; }
"""
#: Says the weight under the pointer; without it the page is complete but for that.
SCRIPT = """
const weights = JSON.parse(document.getElementById('weights').textContent);
const under = document.getElementById('under');
document.addEventListener('pointermove', event => {
  const image = event.target.closest && event.target.closest('image[data-of]');
  under.hidden = !image;
  if (!image) return;
  const [rows, columns] = weights.tokens[image.dataset.of];
  const box = image.getBoundingClientRect();
  const cell = (at, start, size, count) =>
    Math.min(count - 1, Math.max(0, Math.floor((at - start) / size * count)));
  const i = cell(event.clientY, box.top, box.height, rows.length);
  const j = cell(event.clientX, box.left, box.width, columns.length);
  const bytes = atob(weights.maps[image.closest('figure').id]);
  const at = 2 * (i * columns.length + j);
  const share = (bytes.charCodeAt(at) + 256 * bytes.charCodeAt(at + 1)) / 65535;
  under.textContent = `${rows[i]} \\u2192 ${columns[j]}: ${(100 * share).toFixed(1)} %`;
  under.style.left = Math.min(event.clientX + 14, innerWidth - under.offsetWidth) + 'px';
  under.style.top = event.clientY + 14 + 'px';
});
document.addEventListener('keydown', event => {
  if (event.key === 'Escape') document.querySelector('figure:target a.close')?.click();
});
"""


def render(found: Attention) -> str:
    """The page as text."""
    names = [reading.model for reading in found.readings]
    target = (
        "" if found.target is None else f"<blockquote>{html.escape(found.target)}</blockquote>"
    )
    kinds = dict.fromkeys(part.name for reading in found.readings for part in reading.parts)
    tokens: dict[str, list[list[str]]] = {}
    maps: dict[str, str] = {}
    body = [
        f"<blockquote>{html.escape(found.text)}</blockquote>{target}",
        f"<p class=facts>{READING} Choose a map to enlarge it.</p>",
    ]
    for kind in kinds:
        parts = {
            place: (reading.model, part)
            for place, reading in enumerate(found.readings)
            for part in reading.parts
            if part.name == kind
        }
        body += _section(kind, parts)
        for place, (_, part) in parts.items():
            tokens[f"{place}-{kind}"] = [part.queries, part.keys]
            for layer, weights in enumerate(part.layers, start=1):
                for head, one in enumerate(weights, start=1):
                    maps[f"{place}-{kind}-{layer}-{head}"] = _packed(one)
    body += _tables({reading.model: reading.tables for reading in found.readings})
    data = json.dumps({"tokens": tokens, "maps": maps}, ensure_ascii=False).replace("<", "\\u003c")
    body += [
        "<div id=under hidden></div>",
        f'<script type="application/json" id=weights>{data}</script>',
    ]
    return page(f"Attention of {' and '.join(names)}", "\n".join(body), style=STYLE, script=SCRIPT)


def _packed(weights: Tensor) -> str:
    """Weights as 16-bit shares of 1, row by row."""
    shares = (weights.double().clamp(0, 1) * 65535).round().numpy().astype("<u2")
    return base64.b64encode(np.ascontiguousarray(shares).tobytes()).decode()


def _section(kind: str, parts: dict[int, tuple[str, Part]]) -> Iterator[str]:
    """One kind of attention, of all models that have it."""
    found = {place: part.statistics() for place, (_, part) in parts.items()}
    yield f"<h2>{TITLES[kind]}</h2>"
    yield _summary(parts, found)
    for place, (_, part) in parts.items():
        yield _labels(f"{place}-{kind}", part)
    for layer in range(max(len(part.layers) for _, part in parts.values())):
        yield f'<h3 id="{kind}-{layer + 1}">Layer {layer + 1}</h3><div class=twins>'
        for place, (model, part) in parts.items():
            if layer < len(part.layers):
                form = f": {part.forms[layer]}" if part.forms else ""
                crowded = " crowded" if max(len(part.queries), len(part.keys)) > CROWDED else ""
                title, tall = html.escape(model + form), sum(_frame(part)[1::2])
                yield f"<div><h4>{title}</h4>"
                yield f'<div class="heads{crowded}" style="--tall: {tall:.0f}">'
                for head, one in enumerate(found[place][layer]):
                    yield _figure(f"{place}-{kind}", title, part, layer, head, one)
                yield "</div></div>"
        yield "</div>"


def _summary(parts: dict[int, tuple[str, Part]], found: dict[int, list[list[Statistics]]]) -> str:
    """Means over the heads of each layer, and what uniform attention would give."""
    models, headings = "<tr><th>", "<tr><th>layer"
    for model, _ in parts.values():
        models += f"<th class=m colspan={len(COLUMNS) + 1}>{html.escape(model)}"
        headings += "<th class=m>logits" + "".join(f"<th class=n>{name}" for name in COLUMNS)
    rows = [models, headings]
    for layer in range(max(map(len, found.values()))):
        row = f"<tr><td>{layer + 1}"
        for place, (_, part) in parts.items():
            if layer < len(part.layers):
                form = html.escape(part.forms[layer]) if part.forms else "–"
                row += f"<td class=m>{form}{_cells(average(found[place][layer]))}"
            else:
                row += f"<td class=m colspan={len(COLUMNS) + 1}>"
        rows.append(row)
    even = "".join(f"<td class=m>{_cells(part.uniform())}" for _, part in parts.values())
    rows.append(f"<tr><td>uniform{even}")
    return f"<div class=scroll><table>{''.join(rows)}</table></div>"


def _cells(one: Statistics) -> str:
    return "".join(f"<td class=n>{show(one)}" for show in COLUMNS.values())


def _frame(part: Part) -> tuple[float, float, float, float]:
    """Left and upper margin of a map, its width and its height."""
    left, upper = (
        COLUMN * max(map(columns, labels(tokens))) + GAP for tokens in (part.queries, part.keys)
    )
    return left, max(upper, CELL + GAP), CELL * len(part.keys), CELL * len(part.queries)


def _labels(name: str, part: Part) -> str:
    """The tokens beside a map, once for all maps that have them."""
    left, upper, _, _ = _frame(part)
    texts = []
    for row, token in enumerate(labels(part.queries)):
        x, y = left - GAP / 2, upper + CELL * (row + 0.5) + 3
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="end"'
        texts.append(f"<text {place}>{html.escape(token)}</text>")
    for column, token in enumerate(labels(part.keys)):
        x, y = left + CELL * (column + 0.5), upper - GAP / 2
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="middle"'
        if columns(token) > UPRIGHT:
            place = f'transform="translate({x + 3:.1f} {y:.1f}) rotate(-90)"'
        texts.append(f"<text {place}>{html.escape(token)}</text>")
    return (
        '<svg width="0" height="0" style="position:absolute"><defs>'
        f'<g id="tokens-{name}" font-size="9" fill="currentColor">'
        f"{''.join(texts)}</g></defs></svg>"
    )


def _figure(name: str, title: str, part: Part, layer: int, head: int, one: Statistics) -> str:
    """One head; its title is seen when it is enlarged."""
    left, upper, width, height = _frame(part)
    whole = f"0 0 {left + width + 1:.1f} {upper + height + 1:.1f}"
    place = f'x="{left:.1f}" y="{upper:.1f}" width="{width}" height="{height}"'
    own = f"{name}-{layer + 1}-{head + 1}"
    spread, places = caption(one)
    return (
        f'<figure id="{own}"><a href="#{own}"><svg viewBox="{whole}" role="img" '
        f'aria-label="Layer {layer + 1}, head {head + 1}"><use href="#tokens-{name}"/>'
        f'<image data-of="{name}" {place} '
        f'preserveAspectRatio="none" href="{png_url(ink(part.layers[layer][head]))}"/>'
        f'<rect x="{left:.1f}" y="{upper:.1f}" width="{width}" height="{height}" fill="none" '
        f'stroke="currentColor" stroke-opacity=".3"/></svg></a>'
        f"<figcaption><b><span class=close>{title}, layer {layer + 1},</span> "
        f"head {head + 1}</b>: "
        f'{spread}; {places}. <a class=close href="#{part.name}-{layer + 1}">close</a>'
        "</figcaption></figure>"
    )


def _tables(found: dict[str, list[Table]]) -> Iterator[str]:
    """The matrices of logits by position, and their singular values."""
    if not any(found.values()):
        return
    yield "<h2>Logits by position</h2>"
    yield (
        "<p class=facts>What these heads add to the logits of every text, for all positions: rows "
        "are positions that look, columns positions looked at; blue is above 0, orange below. The "
        "curve is of the singular values, greatest first; the effective rank is the exponential "
        "of their entropy.</p>"
    )
    for model, tables in found.items():
        for place, group in groupby(tables, lambda one: (one.part, one.layer, one.form)):
            part, layer, form = place
            stack = "" if part == "self" else f"{part}, "
            yield f"<h3>{html.escape(model)}: {stack}layer {layer}, {form}</h3><div class=heads>"
            yield from map(_table, group)
            yield "</div>"


def _table(table: Table) -> str:
    values = table.singular_values()
    size, greatest = len(values), max(values[0].item(), 1e-30)
    points = " ".join(
        f"{100 * (i + 0.5) / size:.2f},{30 - 28 * value / greatest:.2f}"
        for i, value in enumerate(values.tolist())
    )
    return (
        f'<figure><svg viewBox="0 0 100 134" role="img" aria-label="Logits of layer '
        f'{table.layer}, head {table.head}">'
        f'<image width="100" height="100" href="{png_url(signed_ink(table.logits))}"/>'
        '<rect width="100" height="100" fill="none" stroke="currentColor" stroke-opacity=".3"/>'
        '<g transform="translate(0 103)"><path d="M0 30H100" stroke="currentColor" '
        f'stroke-opacity=".3"/><polyline points="{points}" fill="none" stroke="currentColor"/>'
        f"</g></svg><figcaption><b>head {table.head}</b>: {size} positions, logits up to "
        f"{table.logits.abs().max():.2f}, singular values up to {greatest:.2f}, effective rank "
        f"{table.effective_rank():.1f}.</figcaption></figure>"
    )
