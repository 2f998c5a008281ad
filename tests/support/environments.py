"""Programs of others, each in a virtual environment of its own in the cache folder; nothing of them comes into the
project's. ``python -m tests.support.apt`` makes them once.

    nio = Environment("nio-e2e", "matrix-nio[e2e]", "matrix-nio[e2e]", "0.25.2", "matrix-nio-e2e", ("nio", "olm"))
    program = nio.require()    # its Python
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import apt


@dataclass(frozen=True)
class Environment:
    """One of them.

    Args:
        name: by which ``tests.support.apt`` makes it.
        title: what people call it.
        package: what is installed from PyPI.
        version: of that, pinned.
        folder_name: what its folder's name begins with.
        modules: what must be there in the end.
        options: more of pip's options.
        everywhere: whether it can be had for every Python, so that with CI=true it is a failure not to have it.
    """

    name: str
    title: str
    package: str
    version: str
    folder_name: str
    modules: tuple[str, ...]
    options: tuple[str, ...] = ("--prefer-binary",)
    everywhere: bool = True

    @property
    def folder(self) -> Path:
        """Where it is. Each Python has its own: an environment lives no longer than the one that it was made with."""
        running = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return apt.cache_folder() / f"{self.folder_name}-{self.version}-{running}"

    def python(self) -> Path | None:
        """Its Python, if a run of ``tests.support.apt`` made it."""
        found = self.folder / "bin" / "python"
        return found if (self.folder / "whole").is_file() and found.exists() else None

    def ensure(self) -> str:
        """Make it, unless it is there.

        Returns:
            Why that was not possible, or "".
        """
        if self.python() is not None:
            return ""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        what = f"{self.title} {self.version}"
        print(f"Installing {what} into an environment of its own ...", flush=True)
        program = str(self.folder / "bin" / "python")
        wanted = f"{self.package}=={self.version}"
        made = (
            apt.run(sys.executable, "-m", "venv", "--clear", str(self.folder))
            and apt.run(program, "-m", "pip", "install", "--quiet", *self.options, wanted)
            and apt.run(program, "-I", "-c", f"import {', '.join(self.modules)}")
        )
        if not made:
            return f"{what} could not be installed, see above"
        (self.folder / "whole").touch()
        return ""

    def require(self) -> Path:
        """As ``python``. Skips the test where there is none; with CI=true fails it, if it can be had everywhere."""
        found = self.python()
        if found is None:
            reason = (
                f"there is no environment with {self.title} {self.version}: "
                f"try `python -m tests.support.apt {self.name}`"
            )
            if self.everywhere and apt.in_ci():
                pytest.fail(reason)
            pytest.skip(reason)
        return found
