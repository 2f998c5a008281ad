"""All pages, each with what it needs; ``app/hearth.py`` binds them."""

from litestar import Controller

from appliance.server.endpoints import bind
from web.home import Home
from web.static_files import StaticFiles
from web.wizard.certificate import CertificatePage
from web.wizard.claim import ClaimPage
from web.wizard.done import DonePage
from web.wizard.joining import JoiningPage
from web.wizard.name import NamePage
from web.wizard.owner import OwnerPage
from web.wizard.reach import ReachPage
from web.wizard.wizard import Wizard


def controllers(wizard: Wizard) -> list[type[Controller]]:
    """Every controller of ``web``."""
    pages = (ClaimPage, NamePage, ReachPage, CertificatePage, OwnerPage, JoiningPage, DonePage)
    return [
        *(bind(each, wizard=wizard) for each in pages),
        bind(Home, settings=wizard.settings, setup=wizard.setup),
        bind(StaticFiles),
    ]
