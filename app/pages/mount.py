"""Putting the Gradio pages into the server.

Each page is an application of its own: what one may ask for is then decided per address, by the gate, for the
page's events as well as for the page.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse

from app.gate import USER_KEY
from app.pages import annotate, browse, rounds
from app.pages.theme import RESEARCH_STYLES, SITE_SCRIPT, STYLES, site_theme
from storage.store import Store


def mount_pages(app: FastAPI, store: Store) -> None:
    """Mount Annotate at `/`, Browse at `/browse/` and Rounds at `/rounds/`."""
    # Where no event loop runs, Gradio makes one for every page and never closes it.
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, _mount_all(app, store)).result()


async def _mount_all(app: FastAPI, store: Store) -> None:
    _mount(app, browse.build_browse_page(store), path="/browse", head=RESEARCH_STYLES)
    _mount(app, rounds.build_rounds_page(store), path="/rounds", head=RESEARCH_STYLES)
    # The last: an address that nothing above has is this page's.
    _mount(app, annotate.build_annotate_page(), path="/", head=annotate.HEAD)


def _mount(app: FastAPI, page: gr.Blocks, *, path: str, head: str = "") -> None:
    if path != "/":

        @app.get(path, include_in_schema=False)
        async def with_slash() -> RedirectResponse:
            return RedirectResponse(f"{path}/")

    gr.mount_gradio_app(
        app,
        page,
        path=path,
        auth_dependency=_user_name,
        theme=site_theme(),
        head=STYLES + head + SITE_SCRIPT,
        show_error=False,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        max_file_size=0,
    )


def _user_name(request: Request) -> str | None:
    user = request.scope.get(USER_KEY)
    return None if user is None else user.rater_id
