"""The Rounds page: what each round of the loop changed, by how much, and how that looks."""

from collections.abc import Mapping, Sequence
from html import escape

import gradio as gr

from app.pages.clip_grid import ClipCard, comparison_html
from app.pages.line_chart import chart_html
from app.round_reports import RoundRow, round_rows, samples_before_and_after, training_curves
from storage.store import Store

NO_ROUNDS = "There is no round yet. Run one with: vidpref round --category NAME"


def build_rounds_page(store: Store) -> gr.Blocks:
    """Return the page for researchers with the ledger of rounds and the details of one."""

    def open_page() -> tuple[str, gr.Dropdown]:
        rows = round_rows(store)
        choices = [(f"{row.record.category}, round {row.record.number}", row.record.round_id) for row in rows]
        newest = choices[-1][1] if choices else None
        return ledger_html(rows), gr.Dropdown(choices, value=newest)

    def show(round_id: str | None) -> tuple[str, str, dict[str, object]]:
        row = next((row for row in round_rows(store) if row.record.round_id == round_id), None)
        if row is None:
            return "", "", {}
        charts = training_curves(store, row.record.run_id)
        drawn = "".join(chart_html(title, lines) for title, lines in charts.items())
        return f'<div class="vp-charts">{drawn}</div>', _samples(store, row), dict(row.record.report)

    with gr.Blocks(title="Rounds · vidpref", analytics_enabled=False, fill_width=True) as page:
        gr.HTML('<h2 class="vp-heading">Rounds</h2>', apply_default_css=False)
        ledger = gr.HTML("", apply_default_css=False)
        chosen = gr.Dropdown([], label="Round", elem_classes="vp-choose", interactive=True)
        gr.HTML('<h2 class="vp-heading">Training</h2>', apply_default_css=False)
        curves = gr.HTML("", apply_default_css=False)
        gr.HTML('<h2 class="vp-heading">Before and after, same prompt and seed</h2>', apply_default_css=False)
        samples = gr.HTML("", apply_default_css=False)
        with gr.Accordion("Report", open=False):
            report = gr.JSON(show_label=False)
        quiet = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
        opened = page.load(open_page, None, [ledger, chosen], **quiet)
        opened.then(show, chosen, [curves, samples, report], **quiet)
        chosen.input(show, chosen, [curves, samples, report], **quiet)
    return page


def ledger_html(rows: Sequence[RoundRow]) -> str:
    """Return the ledger as a table: lineage, data, result."""
    if not rows:
        return f'<p class="vp-none">{escape(NO_ROUNDS)}</p>'
    heads = (
        "Category",
        "Round",
        "From",
        "To",
        "Pairs",
        "Run",
        "Win rate against base",
        "Measured, base → tuned",
    )
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(f"<tr>{_ledger_cells(row)}</tr>" for row in rows)
    table = f'<table class="vp-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="vp-scroll">{table}</div>'


def _ledger_cells(row: RoundRow) -> str:
    report = row.record.report
    texts = (
        row.record.category,
        str(row.record.number),
        row.parent,
        row.generator,
        str(row.num_pairs),
        row.status,
    )
    cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
    return f"{cells}<td>{_win_rate(report)}</td><td>{_parts(report)}</td>"


def _win_rate(report: Mapping[str, object]) -> str:
    rate, interval = report.get("win_rate"), report.get("ci95")
    if not isinstance(rate, int | float):
        return "–"
    text = f"{rate:.0%}"
    if isinstance(interval, list | tuple) and len(interval) == 2:
        text += f" ({interval[0]:.0%} to {interval[1]:.0%})"
    return (
        f'<span class="vp-meter"><i style="width:{100 * min(1.0, max(0.0, float(rate))):.0f}%"></i></span>'
        f"{escape(text)}"
    )


def _parts(report: Mapping[str, object]) -> str:
    base, tuned = report.get("base"), report.get("tuned")
    if not isinstance(base, Mapping) or not isinstance(tuned, Mapping):
        return "–"
    shown = [
        f"<span>{escape(str(name).replace('_', ' '))} {value:.2f} → {tuned[name]:.2f}</span>"
        for name, value in base.items()
        if name in tuned
    ]
    return f'<div class="vp-notes">{"".join(shown)}</div>'


def _samples(store: Store, row: RoundRow) -> str:
    rows = [
        (
            f"{pair.prompt} · seed {pair.seed}",
            ClipCard(video_id=pair.before.video_id, title="Base"),
            ClipCard(video_id=pair.after.video_id, title=row.generator),
        )
        for pair in samples_before_and_after(store, row.record)
    ]
    return comparison_html(rows, empty="No held-out clips of both models at equal seeds.")
