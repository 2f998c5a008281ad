"""schemathesis, which makes requests up from an OpenAPI document, in an environment of its own.

``python -m tests.support.apt`` makes it once, in the cache folder. A test asks with ``require()``.
"""

import sys
from pathlib import Path

import pytest

from tests.support import apt

VERSION = "4.32.5"
"""Pinned, since what it makes up changes from one release to the next."""


def _folder() -> Path:
    return apt.cache_folder() / f"schemathesis-{VERSION}-python{sys.version_info.major}.{sys.version_info.minor}"


def python() -> Path | None:
    """The Python that has it, if a run of ``tests.support.apt`` made it."""
    found = _folder() / "bin" / "python"
    return found if (_folder() / "whole").is_file() and found.exists() else None


def ensure() -> str:
    """Make the environment, unless it is there.

    Returns:
        Why that was not possible, or "".
    """
    if python() is not None:
        return ""
    folder = _folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    print(f"Installing schemathesis {VERSION} into an environment of its own ...", flush=True)
    program = str(folder / "bin" / "python")
    made = (
        apt.run(sys.executable, "-m", "venv", "--clear", str(folder))
        and apt.run(program, "-m", "pip", "install", "--quiet", "--prefer-binary", f"schemathesis=={VERSION}")
        and apt.run(program, "-I", "-c", "import schemathesis")
    )
    if not made:
        return f"schemathesis {VERSION} could not be installed, see above"
    (folder / "whole").touch()
    return ""


def require() -> Path:
    """As ``python``. Skips the test where there is none; with CI=true fails it."""
    found = python()
    if found is None:
        reason = f"there is no environment with schemathesis {VERSION}: try `python -m tests.support.apt schemathesis`"
        if apt.in_ci():
            pytest.fail(reason)
        pytest.skip(reason)
    return found
