"""matrix-nio with its encryption (libolm), in an environment of its own: the project's has it without.

``python -m tests.support.apt`` makes it once, in the cache folder. A test asks with ``require()`` for its Python.
"""

from tests.support.environments import Environment

_environment = Environment(
    *("nio-e2e", "matrix-nio[e2e]", "matrix-nio[e2e]", "0.25.2", "matrix-nio-e2e", ("nio", "olm")),
    # libolm comes with its binding as a wheel, which is not to be had for every Python; nothing is compiled.
    options=("--only-binary", "python-olm"),
    everywhere=False,
)
ensure, require = _environment.ensure, _environment.require
