"""Pages from Jinja templates, escaped; Jinja is loaded when the first page is asked for."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.server.answers import Answer
from web.static_files import static_url

if TYPE_CHECKING:
    from jinja2 import Environment

HTML = b"text/html; charset=utf-8"


def html(template: str, status: int = 200, headers: Mapping[bytes, bytes] | None = None, /, **values: Any) -> Answer:
    """A page.

    Args:
        template: its path below ``templates``.
        status: the HTTP status.
        headers: further header lines.
        values: what the template shows.
    """
    return Answer(_environment().get_template(template).render(values).encode(), status, HTML, headers)


def see(location: str, headers: Mapping[bytes, bytes] | None = None) -> Answer:
    """A redirect to another page (303): what was sent is done, reloading does it not again."""
    return Answer(b"", 303, HTML, {b"location": location.encode(), b"cache-control": b"no-store", **(headers or {})})


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["static_url"] = static_url
    return environment
