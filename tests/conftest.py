"""What holds for every test: property tests repeat exactly, and the machine's own Hearth does not leak in."""

import os

import hypothesis

hypothesis.settings.register_profile("hearth", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("hearth")

for name in [name for name in os.environ if name.startswith("HEARTH_")]:
    del os.environ[name]
