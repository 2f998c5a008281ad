"""The composition root: the one place that knows every service and hands each its needs.

``Hearth`` is everything below the listeners, made once out of an open database; ``running.py`` puts listeners in front
of it; ``offline`` lets the command line use what it needs of it while nothing runs.
"""

from appliance.app.hearth import Hearth, offline
from appliance.app.living import Living
from appliance.app.owning import Owning

__all__ = ["Hearth", "Living", "Owning", "offline"]
