"""schemathesis, which makes requests up from an OpenAPI document, in an environment of its own.

``python -m tests.support.apt`` makes it once, in the cache folder. A test asks with ``require()``.
"""

from tests.support.environments import Environment

# Pinned, since what it makes up changes from one release to the next.
_environment = Environment("schemathesis", "schemathesis", "schemathesis", "4.32.5", "schemathesis", ("schemathesis",))
ensure, require = _environment.ensure, _environment.require
