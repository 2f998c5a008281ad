"""Glob patterns (appendices, "Glob-style matching"), as conditions of push rules use them.

Whoever writes a pattern may make it long and full of stars, and whoever writes a text may make that fit: looking takes
at most so many steps together (``Patience``), about ten milliseconds, which no honest pattern needs. A pattern is cut
at its stars, and each piece is looked for once, as early as possible.
"""

import re
from collections.abc import Callable, Iterator

_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
STEPS = 4_000_000
"""Steps that all the patterns of one judgement may take, each some nanoseconds."""
_LOOK, _SKIPPED = 200, 2
"""Steps that beginning to look takes, and characters that are passed over in one step where nothing fits."""


class Patience:
    """How much may still be looked for. Once it is at its end, nothing fits any more.

    Args:
        steps: how many steps.
    """

    __slots__ = ("left",)

    def __init__(self, steps: int = STEPS) -> None:
        self.left = steps

    def lasts(self, steps: int) -> bool:
        """Take so many steps, if there are as many left; nothing more is looked for where there are not."""
        self.left = self.left - steps if steps <= self.left else 0
        return self.left > 0


Fits = Callable[[str, Patience], bool]
"""What says whether a text in lower case fits."""


def matches_whole(pattern: str) -> Fits:
    """What says whether a whole text, in lower case, fits a pattern, whose case does not matter."""
    pattern = pattern.lower()
    if "*" not in pattern and "?" not in pattern:
        return lambda text, patience: text == pattern
    first, *rest = [_Piece(text) for text in pattern.split("*")]
    if not rest:
        return lambda text, patience: len(text) == first.length and first.is_at(text, 0)
    *middle, last = rest

    def fits(text: str, patience: Patience) -> bool:
        if not first.is_at(text, 0):
            return False
        here = first.length
        for piece in middle:
            start = piece.find(text, here, patience)
            if start < 0:
                return False
            here = start + piece.length
        start = len(text) - last.length
        return start >= here and last.is_at(text, start)

    return fits


def matches_words(pattern: str) -> Fits:
    """What says whether some part of a text, in lower case, that begins and ends at the boundary of a word fits."""
    first, *rest = [_Piece(text) for text in pattern.lower().split("*")]
    if not rest:
        return lambda text, patience: any(
            _is_boundary(text, at + first.length) for at in _starts(first, text, patience)
        )
    *middle, last = rest

    def fits(text: str, patience: Patience) -> bool:
        start = next(_starts(first, text, patience), -1)
        if start < 0:
            return False
        here = start + first.length
        for piece in middle:
            start = piece.find(text, here, patience)
            if start < 0:
                return False
            here = start + piece.length
        if last.length == 0:
            return True
        return any(_is_boundary(text, at + last.length) for at in last.all(text, here, patience))

    return fits


def has_words(text: str, words: str, patience: Patience) -> bool:
    """Whether a text in lower case has some words, which are no pattern and whose case does not matter."""
    piece = _Piece(words.lower(), literal=True)
    return any(_is_boundary(text, at + piece.length) for at in _starts(piece, text, patience))


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

    def find(self, text: str, start: int, patience: Patience) -> int:
        """The first place at or after ``start`` where it is; -1 for none, or where patience does not last."""
        if self._expression is not None:
            # Which may try the whole piece at each place.
            if not patience.lasts(_LOOK + self.length * max(0, len(text) - start)):
                return -1
            found = self._expression.search(text, start)
            return -1 if found is None else found.start()
        at = text.find(self.text, start)
        seen = (len(text) if at < 0 else at) - start
        return at if patience.lasts(_LOOK + self.length + seen // _SKIPPED) else -1

    def all(self, text: str, start: int, patience: Patience) -> Iterator[int]:
        """Every place at or after ``start`` where it is."""
        at = self.find(text, start, patience)
        while at >= 0:
            yield at
            at = self.find(text, at + 1, patience) if at < len(text) else -1


def _starts(piece: _Piece, text: str, patience: Patience) -> Iterator[int]:
    return (at for at in piece.all(text, 0, patience) if _is_boundary(text, at))


def _is_boundary(text: str, at: int) -> bool:
    """Whether a word may begin or end before the character at a place."""
    return at <= 0 or at >= len(text) or text[at - 1] not in _WORD or text[at] not in _WORD
