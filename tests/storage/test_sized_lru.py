"""Caches that are bounded by bytes."""

from appliance.storage.lru import SizedLru


def test_what_was_used_longest_ago_leaves_when_there_is_too_much() -> None:
    """The total never passes the most, and counts only what is kept."""
    kept: SizedLru[str, str] = SizedLru(90)
    for name in "abc":
        kept.put(name, name.upper(), 30)
    assert kept.get("a") == "A"
    kept.put("d", "D", 20)
    assert [kept.get(name) for name in "abcd"] == ["A", None, "C", "D"]
    assert (len(kept), kept.total) == (3, 80)
    kept.put("a", "other", 10)
    assert (kept.get("a"), kept.total) == ("other", 60)
    kept.drop("a")
    kept.drop("nobody")
    assert (len(kept), kept.total) == (2, 50)


def test_an_entry_that_is_too_large_is_not_kept_and_nor_is_what_it_replaces() -> None:
    """One entry must not throw out all others."""
    kept: SizedLru[str, str] = SizedLru(90)
    kept.put("a", "small", 30)
    kept.put("a", "large", 31)
    assert kept.get("a") is None
    assert kept.total == 0
