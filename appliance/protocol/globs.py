"""Glob patterns (appendices, "Glob-style matching"), as conditions of push rules use them.

Whoever writes a pattern may make it long and full of stars, and whoever writes a text may make that fit: every match is
found in time that grows with the length of the text and no faster. A pattern is cut at its stars, and each piece is
looked for once, as early as possible.
"""

import re
from collections.abc import Callable, Iterator

_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


def matches_whole(pattern: str) -> Callable[[str], bool]:
    """What says whether a whole text, in lower case, fits a pattern, whose case does not matter."""
    pattern = pattern.lower()
    if "*" not in pattern and "?" not in pattern:
        return pattern.__eq__
    first, *rest = [_Piece(text) for text in pattern.split("*")]
    if not rest:
        return lambda text: len(text) == first.length and first.is_at(text, 0)
    *middle, last = rest

    def fits(text: str) -> bool:
        if not first.is_at(text, 0):
            return False
        here = first.length
        for piece in middle:
            start = piece.find(text, here)
            if start < 0:
                return False
            here = start + piece.length
        start = len(text) - last.length
        return start >= here and last.is_at(text, start)

    return fits


def matches_words(pattern: str) -> Callable[[str], bool]:
    """What says whether some part of a text, in lower case, that begins and ends at the boundary of a word fits."""
    first, *rest = [_Piece(text) for text in pattern.lower().split("*")]
    if not rest:
        return lambda text: any(_is_boundary(text, at + first.length) for at in _starts(first, text))
    *middle, last = rest

    def fits(text: str) -> bool:
        start = next(_starts(first, text), -1)
        if start < 0:
            return False
        here = start + first.length
        for piece in middle:
            start = piece.find(text, here)
            if start < 0:
                return False
            here = start + piece.length
        return last.length == 0 or any(_is_boundary(text, at + last.length) for at in last.all(text, here))

    return fits


def has_words(text: str, words: str) -> bool:
    """Whether a text in lower case has some words, which are no pattern and whose case does not matter."""
    piece = _Piece(words.lower(), literal=True)
    return any(_is_boundary(text, at + piece.length) for at in _starts(piece, text))


class _Piece:
    """What stands between two stars: text in which a question mark stands for any character, unless it is literal."""

    __slots__ = ("_expression", "length", "text")

    def __init__(self, text: str, *, literal: bool = False) -> None:
        self.text = text
        self.length = len(text)
        self._expression = None
        if "?" in text and not literal:
            self._expression = re.compile("".join("." if one == "?" else re.escape(one) for one in text), re.DOTALL)

    def is_at(self, text: str, start: int) -> bool:
        """Whether it is at a place of a text."""
        if self._expression is not None:
            return self._expression.match(text, start) is not None
        return text.startswith(self.text, start)

    def find(self, text: str, start: int) -> int:
        """The first place at or after ``start`` where it is; -1 for none."""
        if self._expression is not None:
            found = self._expression.search(text, start)
            return -1 if found is None else found.start()
        return text.find(self.text, start)

    def all(self, text: str, start: int) -> Iterator[int]:
        """Every place at or after ``start`` where it is."""
        at = self.find(text, start)
        while at >= 0:
            yield at
            at = self.find(text, at + 1) if at < len(text) else -1


def _starts(piece: _Piece, text: str) -> Iterator[int]:
    return (at for at in piece.all(text, 0) if _is_boundary(text, at))


def _is_boundary(text: str, at: int) -> bool:
    """Whether a word may begin or end before the character at a place."""
    return at <= 0 or at >= len(text) or text[at - 1] not in _WORD or text[at] not in _WORD
