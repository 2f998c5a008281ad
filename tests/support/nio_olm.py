"""matrix-nio with its encryption (libolm), in an environment of its own: the project's has it without.

``python -m tests.support.apt`` makes it once, in the cache folder. A test asks with ``require()`` for its Python.
"""

import sys
from pathlib import Path

import pytest

from tests.support import apt

PACKAGE, VERSION = "matrix-nio[e2e]", "0.25.2"


def _folder() -> Path:
    return apt.cache_folder() / f"matrix-nio-e2e-{VERSION}-python{sys.version_info.major}.{sys.version_info.minor}"


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
    print(f"Installing {PACKAGE} {VERSION} into an environment of its own ...", flush=True)
    program = str(folder / "bin" / "python")
    made = (
        apt.run(sys.executable, "-m", "venv", "--clear", str(folder))
        # libolm comes with its binding as a wheel; nothing is compiled.
        and apt.run(program, "-m", "pip", "install", "--quiet", "--only-binary", "python-olm", f"{PACKAGE}=={VERSION}")
        and apt.run(program, "-I", "-c", "import nio, olm")
    )
    if not made:
        return f"{PACKAGE} {VERSION} could not be installed, see above"
    (folder / "whole").touch()
    return ""


def require() -> Path:
    """As ``python``. Skips the test where there is none: not for every Python is there a libolm to be had."""
    found = python()
    if found is None:
        pytest.skip(f"there is no environment with {PACKAGE} {VERSION}: try `python -m tests.support.apt nio-e2e`")
    return found
