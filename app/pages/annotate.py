"""The annotation page: one custom component that talks to the REST API by itself."""

import gradio as gr

_MODULES = (
    "pair_player",
    "api_client",
    "answer_sheet",
    "elements",
    "keys",
    "outbox",
    "pair_queue",
    "pair_stage",
    "player_panels",
    "synced_clips",
)

# The first pair is asked for while Gradio is still starting.
HEAD = "".join(
    [
        '<link rel="stylesheet" href="/ui/player.css">',
        *(f'<link rel="modulepreload" href="/ui/{name}.js">' for name in _MODULES),
        '<script type="module">import { begin } from "/ui/pair_player.js"; begin();</script>',
    ]
)


_MOUNT = """
import("/ui/pair_player.js").then((player) => player.mount(element.querySelector(".vp-mount")));
"""


def build_annotate_page() -> gr.Blocks:
    """Return the page where a rater compares two clips."""
    with gr.Blocks(title="Annotate · vidpref", analytics_enabled=False, fill_width=True) as page:
        gr.HTML(
            html_template='<div class="vp-mount"></div>',
            js_on_load=_MOUNT,
            apply_default_css=False,
            elem_id="pair-player",
        )
    return page
