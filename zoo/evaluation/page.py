"""Pages to look at: one self-contained HTML file, which loads nothing from elsewhere."""

import base64
import hashlib
import html
import io

from matplotlib.figure import Figure

DPI = 130
# With this policy the page cannot reach the network, even by mistake.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light; --ink: #1d2733; --paper: #fff; --faint: #55606d; --line: #dde3ea;
  --shade: #f3f6f9; --accent: #33608c; --off: #a93226; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .82rem; }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.facts, figcaption { color: var(--faint); font-size: .85rem; }
figure { margin: 0; }
.scroll { overflow-x: auto; }
"""


def page(title: str, body: str, *, style: str = "", script: str = "", policy: str = "") -> str:
    """A page as text.

    Args:
        title: plain text, of the tab and of the first heading.
        body: HTML below the heading; whoever makes it has escaped it.
        style: CSS in addition to what all pages have.
        script: JavaScript of the page itself, the only one that may run; none if empty.
        policy: what the page may do besides, as directives of a Content-Security-Policy.
    """
    name, end = html.escape(title), ""
    policy = f"{POLICY}; {policy}" if policy else POLICY
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
        end = f"<script>{script}</script>\n"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{name}</title>
<style>{STYLE}{style}</style>
</head>
<body>
<h1>{name}</h1>
{body}
{end}</body>
</html>
"""


def png_url(content: bytes) -> str:
    """A PNG file as a data URL."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def png_of(figure: Figure, dpi: float = DPI) -> bytes:
    """A figure as a PNG file; without date and version, the same numbers give the same bytes."""
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=dpi, metadata={"Software": None})
    return written.getvalue()
