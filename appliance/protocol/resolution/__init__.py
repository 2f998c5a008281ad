"""State resolution: one state out of several that disagree, the same on every server (``resolver`` is the way in)."""
