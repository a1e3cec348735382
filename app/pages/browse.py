"""The Browse page: filter the clips of the workspace and watch them."""

import gradio as gr

from app.browsing import ClipFilter, clip_page, filter_choices
from app.pages.clip_grid import grid_html
from storage.records import Split
from storage.store import Store

ANY = ("Any", "")

Shown = tuple[str, str, int]


def build_browse_page(store: Store) -> gr.Blocks:
    """Return the page for researchers where clips are looked through."""

    def choices() -> tuple[gr.Dropdown, gr.Dropdown, gr.Dropdown]:
        found = filter_choices(store)
        rounds = [(str(number), str(number)) for number in found.rounds]
        return (
            gr.Dropdown([ANY, *((name, name) for name in found.categories)]),
            gr.Dropdown([ANY, *found.generators]),
            gr.Dropdown([ANY, *rounds]),
        )

    def show(category: str, generator_id: str, round_text: str, split: str, number: int) -> Shown:
        chosen = ClipFilter(
            category=category,
            generator_id=generator_id,
            round=int(round_text) if round_text else None,
            split=split,
        )
        page = clip_page(store, chosen, number=number)
        clips = "clip" if page.num_clips == 1 else "clips"
        where = f"{page.num_clips} {clips} · page {page.number} of {page.num_pages}"
        html = grid_html(page.cards, empty="No clip matches these filters: choose Any in one of them.")
        return html, where, page.number

    def first(category: str, generator_id: str, round_text: str, split: str) -> Shown:
        return show(category, generator_id, round_text, split, 1)

    def back(category: str, generator_id: str, round_text: str, split: str, number: int) -> Shown:
        return show(category, generator_id, round_text, split, number - 1)

    def forward(category: str, generator_id: str, round_text: str, split: str, number: int) -> Shown:
        return show(category, generator_id, round_text, split, number + 1)

    with gr.Blocks(title="Browse · vidpref", analytics_enabled=False, fill_width=True) as page:
        number = gr.State(1)
        with gr.Row(elem_classes="vp-filters"):
            category = gr.Dropdown([ANY], value="", label="Category")
            generator = gr.Dropdown([ANY], value="", label="Generator")
            round_number = gr.Dropdown([ANY], value="", label="Round")
            split = gr.Dropdown([ANY, *((text, text) for text in Split)], value="", label="Split")
        with gr.Row(elem_classes="vp-pager"):
            where = gr.Markdown("", elem_classes="vp-where")
            back_button = gr.Button("← Back", size="sm", scale=0)
            forward_button = gr.Button("Next →", size="sm", scale=0)
        clips = gr.HTML("", apply_default_css=False)
        filters = [category, generator, round_number, split]
        shown = [clips, where, number]
        quiet = {"show_progress": "hidden", "api_visibility": "private", "queue": False}
        page.load(choices, None, filters[:3], **quiet)
        page.load(first, filters, shown, **quiet)
        for box in filters:
            box.input(first, filters, shown, **quiet)
        back_button.click(back, [*filters, number], shown, **quiet)
        forward_button.click(forward, [*filters, number], shown, **quiet)
    return page
