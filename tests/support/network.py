"""A small internet on loopback: real servers with names of their own, a certificate authority, and DNS.

    with Network(tmp_path) as network:
        one, two = network.hearth("one.test"), network.hearth("two.test")
        alice = Client.register(one.url, "alice")     # @alice:one.test
        bob = Client.register(two.url, "bob")         # @bob:two.test

Each server is a real ``hearth serve`` in a process of its own, with its plain listener for clients and its federation
listener over TLS, with a certificate of the network's own authority. It finds the others as in the world: it asks the
network's DNS (setting ``federation.resolver``), finds no well-known file, then an SRV record that names the port, and
checks the certificate (``federation.ca_file``); loopback is allowed by ``federation.allow_private_addresses``. Nothing
in the server knows that it is being tested. Stop, kill and start a server by its own methods (``HearthProcess``): it
keeps its ports, its name and its data.

A server of the test's own making can take part: ``network.certificate(name)`` gives the files for its TLS, and
``network.names.serve(name, port)`` says where it is. ``network.names.serve(name, other_port)`` cuts a server off.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.client import unique
from tests.support.hearth import HearthProcess
from tests.support.names import Names
from tests.tls.parts import Maker, pem

ANSWERS = """
server_name = "{name}"
[tls]
mode = "proxy"
certificate = "{chain}"
key = "{key}"
[registration]
mode = "open"
[federation]
enabled = true
ca_file = "{root}"
resolver = "{resolver}"
allow_private_addresses = true
notaries = {notaries}
{more}
[limits]
enabled = false
[passwords]
memory_kib = 64
rounds = 1
"""


class Network:
    """The authority, the DNS, and the servers; use it as a context manager, which ends them all.

    Args:
        folder: an empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = Names()
        self.root = folder / "root.pem"
        self._maker = Maker(authority=True)
        self.root.write_bytes(pem(self._maker.root))
        self._stack = contextlib.ExitStack()

    def certificate(self, *names: str) -> tuple[Path, Path]:
        """The chain and the key of a certificate for some names, as files."""
        leaf, key = self._maker.leaf(names)
        chain_file, key_file = self.folder / f"{names[0]}.chain.pem", self.folder / f"{names[0]}.key.pem"
        chain_file.write_bytes(pem(leaf, self._maker.intermediate))
        key_file.write_bytes(pem(key))
        return chain_file, key_file

    def hearth(self, name: str, *, notaries: tuple[str, ...] = (), more: str = "", start: bool = True) -> HearthProcess:
        """A new server.

        Args:
            name: its server name, without a port.
            notaries: whom it asks for the keys of others that do not answer.
            more: more lines for ``[federation]`` in its answers file.
            start: whether to start it.
        """
        server = HearthProcess(self.folder / name.replace(".", "-"), "", federates=True)
        self._stack.callback(server.end)
        self._set_up(server, name, notaries, more)
        self.names.serve(name, server.federation)
        return server.start() if start else server

    def hearth_by_address(self, lay: Callable[[int], int] | None = None) -> HearthProcess:
        """A new server that is named by its address and port, for servers that do not ask this network's DNS.

        Args:
            lay: given its port, answers another that leads there, by which others know it.
        """
        server = HearthProcess(self.folder / unique("hearth"), "", federates=True)
        self._stack.callback(server.end)
        name = f"127.0.0.1:{lay(server.federation)}" if lay else self.name_of(server)
        self._set_up(server, name, (), "")
        return server.start()

    @staticmethod
    def name_of(server: HearthProcess) -> str:
        """The name of such a server."""
        return f"127.0.0.1:{server.federation}"

    def ends_with(self, end: Callable[[], None]) -> None:
        """Have something done when the network ends."""
        self._stack.callback(end)

    def _set_up(self, server: HearthProcess, name: str, notaries: tuple[str, ...], more: str) -> None:
        chain, key = self.certificate(name.partition(":")[0])
        answers = ANSWERS.format(
            name=name,
            chain=chain,
            key=key,
            root=self.root,
            resolver=self.names.address,
            notaries=list(notaries),
            more=more,
        ).replace("'", '"')
        server.setup(answers)

    def __enter__(self) -> Self:
        self._stack.enter_context(self.names)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
