"""The page: a paragraph, figures and statistics; no script."""

import html

from zoo.evaluation.page import page, png_of, png_url

from .examining import Examination
from .plots import PLOTS
from .survey import Statistic
from .verdict import Verdict, band

STYLE = """
tr.off td.v { font-weight: 700; color: var(--off); }
.verdict { background: var(--shade); border-left: 4px solid var(--accent); padding: .8rem 1rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 2rem; }
figure img { width: 100%; height: auto; } figure h3 { font-size: 1rem; margin: 0 0 .4rem; }
"""


def render(examination: Examination, verdict: Verdict) -> str:
    """The page as text."""
    facts = examination.facts()
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
        f'<img alt="{html.escape(plot.title)}" src="{png_url(png_of(plot.draw(examination)))}">'
        f"<figcaption>{html.escape(plot.caption)}</figcaption></figure>"
        for plot in PLOTS
        if plot.fits(examination)
    )
    body = f"""<p class=facts>{listed}</p>
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
{missing}"""
    return page(f"Latent space of {facts['model']}", body, style=STYLE)


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
