"""Simplified sliding sync (MSC4186): windows over lists of rooms, and a connection that remembers what it has told.

One core (``service.py``) with two codecs: the form that clients speak today (``deployed.py``,
``org.matrix.simplified_msc3575``) and the accepted one (``accepted.py``, ``/v4/sync``).
"""
