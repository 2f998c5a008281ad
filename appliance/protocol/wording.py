"""The words of an event, as far as they are searched (client-server API, module "Server side search")."""

import re
from collections.abc import Mapping
from typing import Any

from appliance.protocol.relations import REPLACE, relation_of

KEYS = ("content.body", "content.name", "content.topic")
"""What can be searched, by the names that clients give; the columns of the index are named after the last part."""
TYPES = ("m.room.message", "m.room.name", "m.room.topic")
"""The types that have words, in the same order."""
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
"""Characters of scripts that set no spaces between words: each counts as a word."""


def words_of(event_type: str, content: Mapping[str, Any]) -> tuple[str, str] | None:
    """The column and the text that an event is found by; None for one without words.

    An edit is found by what it puts in the place of the original.
    """
    if event_type not in TYPES:
        return None
    column = KEYS[TYPES.index(event_type)].partition(".")[2]
    if event_type == "m.room.message":
        relation, new = relation_of(content), content.get("m.new_content")
        if relation is not None and relation.rel_type == REPLACE and isinstance(new, dict):
            content = new
    text = content.get(column)
    return (column, spaced(text)) if isinstance(text, str) and text.strip() else None


def spaced(text: str) -> str:
    """A text in which every word stands apart."""
    return text if text.isascii() else _UNSPACED.sub(lambda found: f" {found[0]} ", text)


def terms_of(wanted: str) -> list[tuple[str, bool]]:
    """What somebody searches for: words, and phrases in quotation marks, each with whether longer words fit too."""
    terms: list[tuple[str, bool]] = []
    for number, part in enumerate(wanted.split('"')):
        if number % 2:
            terms += [(spaced(part), False)] if part.strip() else []
        else:
            terms += [
                (spaced(word), len(word) >= SHORTEST_STEM and not _UNSPACED.search(word)) for word in part.split()
            ]
    return terms[:MOST_TERMS]


SHORTEST_STEM, MOST_TERMS = 3, 20
"""Characters from which on a word also stands for those that begin with it; words of a search that are looked at."""
