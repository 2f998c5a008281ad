"""Mappings that forget what was used longest ago, for caches of what the database holds."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Kept(Generic[K, V]):
    """Entries in the order in which they were last used."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The entry, which counts as used now; None where there is none."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def look(self, keys: Iterable[K]) -> tuple[dict[K, V], list[K]]:
        """Many entries, which do not count as used by that, and the keys of those that are not kept."""
        entries = self._entries
        found: dict[K, V] = {}
        missing: list[K] = []
        for key in keys:
            value = entries.get(key)
            if value is None:
                missing.append(key)
            else:
                found[key] = value
        return found, missing

    def __len__(self) -> int:
        return len(self._entries)


class Lru(_Kept[K, V]):
    """At most ``size`` entries, the least recently used leaving first.

    Args:
        size: how many entries to keep.
        kept: says of an entry that it must not leave now; the next one leaves in its place.
    """

    __slots__ = ("_kept", "size")

    def __init__(self, size: int, kept: Callable[[V], bool] | None = None) -> None:
        super().__init__()
        self.size = size
        self._kept = kept

    def used(self, keys: Iterable[K]) -> tuple[dict[K, V], list[K]]:
        """Many entries, which count as used now, and the keys of those that are not kept."""
        found, missing = self.look(keys)
        used = self._entries.move_to_end
        for key in found:
            used(key)
        return found, missing

    def put(self, key: K, value: V) -> None:
        """Keep an entry."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self.size:
            self._evict()

    def drop(self, key: K) -> None:
        """Forget an entry, if it is there."""
        self._entries.pop(key, None)

    def values(self) -> Iterable[V]:
        """What is kept, used or not."""
        return self._entries.values()

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._entries))

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def _evict(self) -> None:
        for key, value in self._entries.items():
            if self._kept is None or not self._kept(value):
                del self._entries[key]
                return


class SizedLru(_Kept[K, V]):
    """Entries of at most so many bytes together, the least recently used leaving first.

    Args:
        most: how many bytes; one entry may take a third of them.
    """

    __slots__ = ("_most", "_sizes", "total")

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._sizes: dict[K, int] = {}
        self.total = 0
        """The bytes of what is kept."""

    def put(self, key: K, value: V, size: int) -> None:
        """Keep an entry of so many bytes, if it is not too large."""
        self.drop(key)
        if size > self._most // 3:
            return
        self._entries[key] = value
        self._sizes[key] = size
        self.total += size
        while self.total > self._most:
            self.drop(next(iter(self._entries)))

    def drop(self, key: K) -> None:
        """Forget an entry, if it is there."""
        if self._entries.pop(key, None) is not None:
            self.total -= self._sizes.pop(key)
