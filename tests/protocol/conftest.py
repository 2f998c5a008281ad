"""Hypothesis for these tests: the same examples every time, no judging of speed."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "protocol", max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("protocol")
