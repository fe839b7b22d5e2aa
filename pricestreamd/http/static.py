"""The page's files: read once at start, served from memory, named one by one, so that no path leads anywhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from aiohttp import hdrs, web

from pricestreamd.http.problem import RefusalError

_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page. `etag` changes with its bytes."""

    body: bytes
    content_type: str
    etag: str


PAGE: web.AppKey[Mapping[str, PageFile]] = web.AppKey("page", Mapping)


def load_page() -> dict[str, PageFile]:
    """Every file of the page by its name."""
    page = {}
    for entry in files("pricestreamd.http").joinpath("page").iterdir():
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            body = entry.read_bytes()
            page[entry.name] = PageFile(body, kind, f'"{hashlib.sha256(body).hexdigest()[:20]}"')
    return page


def routes() -> list[web.RouteDef]:
    """The page at `/`, and what it loads."""
    return [web.get("/", get_index), web.get("/page/{name}", get_file)]


async def get_index(request: web.Request) -> web.Response:
    """The page."""
    return _file(request, "index.html")


async def get_file(request: web.Request) -> web.Response:
    """A script, the style sheet or the icon."""
    return _file(request, request.match_info["name"])


def _file(request: web.Request, name: str) -> web.Response:
    found = request.app[PAGE].get(name)
    if found is None:
        raise RefusalError(404, "There is no such file of the page.")
    # no-cache: a browser asks again each time, and gets 304 until the daemon is upgraded.
    headers = {hdrs.ETAG: found.etag, hdrs.CACHE_CONTROL: "no-cache"}
    if found.etag in request.headers.get(hdrs.IF_NONE_MATCH, ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.body, content_type=found.content_type, charset="utf-8", headers=headers)
