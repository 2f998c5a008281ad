"""What is drawn by lot in tests: always the same, unless somebody looks for seldom faults."""

import os


def seed(usual: int) -> int:
    """What a test's lots follow from: ``usual``, or what the environment says by ``TESTS_SEED``."""
    return int(os.environ.get("TESTS_SEED", usual))
