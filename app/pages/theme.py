"""What every Gradio page shares: theme, style sheets, and the head that brings in the site's own scripts."""

import gradio as gr

STYLES = (
    '<link rel="stylesheet" href="/ui/site.css"><link rel="icon" href="/ui/mark.svg" type="image/svg+xml">'
)
RESEARCH_STYLES = '<link rel="stylesheet" href="/ui/research.css">'
SITE_SCRIPT = '<script type="module" src="/ui/site.js"></script>'


def site_theme() -> gr.themes.Base:
    """Return the theme: system fonts alone, so that no page asks another host for one."""
    fonts = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
    return gr.themes.Base(
        primary_hue="indigo",
        neutral_hue="slate",
        radius_size="md",
        font=fonts,
        font_mono=("ui-monospace", "Consolas", "monospace"),
    )
