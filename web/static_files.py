"""Style sheet, script and mark: files of our own, named by what is in them, so that browsers may keep them for ever."""

import functools
import hashlib
from pathlib import Path

from litestar import Controller
from litestar.types import ASGIApp
from msgspec import Struct

from appliance.server.answers import Answer
from appliance.server.endpoints import page

FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": b"text/css; charset=utf-8", ".js": b"text/javascript; charset=utf-8", ".svg": b"image/svg+xml"}


class StaticFile(Struct, frozen=True):
    """One file.

    Args:
        url: its path, with a part that changes with its content.
        content: its bytes.
        content_type: its media type.
    """

    url: str
    content: bytes
    content_type: bytes


@functools.cache
def static_files() -> dict[str, StaticFile]:
    """Every file by its own name, read once, when the first page is asked for."""
    found = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:12]
            found[path.name] = StaticFile(f"/static/{path.stem}-{digest}{path.suffix}", content, _TYPES[path.suffix])
    return found


def static_url(name: str) -> str:
    """The path of a file for a page."""
    return static_files()[name].url


class StaticFiles(Controller):
    """Serves them."""

    @page("GET", "/static/{name:str}")
    async def file(self, name: str) -> ASGIApp:
        """GET /static/{name}

        A file, never to be asked for again; 404 under a name that no page of this version uses.
        """
        for file in static_files().values():
            if file.url == f"/static/{name}":
                kept = {b"cache-control": b"public, max-age=31536000, immutable"}
                return Answer(file.content, 200, file.content_type, kept)
        return Answer(b"There is no such file.\n", 404, b"text/plain; charset=utf-8")
