"""One self-contained HTML page: no script, and no style sheet or image from elsewhere."""

import base64
import html
import io

from matplotlib.figure import Figure

from .examining import Examination
from .plots import PLOTS
from .survey import Statistic
from .verdict import Verdict, band

DPI = 130
# With this policy the page cannot reach the network, even by mistake.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1d2733; background: #fff; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .82rem; }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid #dde3ea;
  vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.off td.v { font-weight: 700; color: #a93226; }
.verdict { background: #f3f6f9; border-left: 4px solid #33608c; padding: .8rem 1rem; }
.facts, figcaption { color: #55606d; font-size: .85rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 2rem; }
figure { margin: 0; } figure img { width: 100%; height: auto; } figure h3 { font-size: 1rem;
  margin: 0 0 .4rem; }
.scroll { overflow-x: auto; }
"""


def render(examination: Examination, verdict: Verdict) -> str:
    """The page as text."""
    facts = examination.facts()
    name = html.escape(str(facts["model"]))
    listed = "; ".join(
        f"{html.escape(key.replace('_', ' '))}: {html.escape(str(value))}"
        for key, value in facts.items()
        if key != "model"
    )
    survey = examination.survey
    rows = "\n".join(_row(statistic) for statistic in survey.statistics.values())
    missing = "".join(
        f"<p class=facts>Not defined here: {html.escape(', '.join(names))}: "
        f"{html.escape(reason)}.</p>"
        for reason, names in _by_reason(survey.undefined).items()
    )
    figures = "\n".join(
        f'<figure id="{plot.name}"><h3>{html.escape(plot.title)}</h3>'
        f'<img alt="{html.escape(plot.title)}" src="{_data(plot.draw(examination))}">'
        f"<figcaption>{html.escape(plot.caption)}</figcaption></figure>"
        for plot in PLOTS
        if plot.fits(examination)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Latent space of {name}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Latent space of {name}</h1>
<p class=facts>{listed}</p>
<p class=verdict>{html.escape(verdict.paragraph)}</p>
<h2>Figures</h2>
<div class=figures>
{figures}
</div>
<h2>Statistics</h2>
<p class=facts>Band: minimum to maximum over N(0, I) samples of the same n and d, with the noise of
the encoder; a value outside is in bold. With many codes every test rejects: look at the effect
first.</p>
<div class=scroll>
<table>
<tr><th>statistic<th class=n>value<th class=n>N(0, I) band<th>good<th class=n>p<th class=n>n
<th class=n>d<th class=n>seed</tr>
{rows}
</table>
</div>
{missing}
</body>
</html>
"""


def _row(statistic: Statistic) -> str:
    row = statistic.row
    title = row.title + (f", {row.unit}" if row.unit else "")
    p_value = "" if statistic.p_value is None else f"{statistic.p_value:.2g}"
    return (
        f"<tr{'' if statistic.within else ' class=off'}><td>{html.escape(title)}"
        f"<td class='n v'>{statistic.value:.{row.digits}f}"
        f"<td class=n>{band(statistic)} ({statistic.replicates})<td>{html.escape(row.good)}"
        f"<td class=n>{p_value}<td class=n>{statistic.count}<td class=n>{statistic.size}"
        f"<td class=n>{statistic.seed}</tr>"
    )


def _by_reason(undefined: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in undefined.items():
        found.setdefault(reason, []).append(name.replace("_", " "))
    return found


def _data(figure: Figure) -> str:
    """A figure as a data URL."""
    written = io.BytesIO()
    # Without date and version in the file, the same numbers give the same page.
    figure.savefig(written, format="png", dpi=DPI, metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()
