"""What the owner of a proxy puts into its configuration, and the owner of a web site at the server's name into that."""

import json

from appliance.settings import Settings, host_of


def caddy(settings: Settings, http_port: int) -> str:
    """Lines for a Caddyfile."""
    backend = f"127.0.0.1:{http_port}"
    lines = [f"{settings.reached_at} {{", f"    reverse_proxy {backend}", "}"]
    if is_delegated(settings):
        name = host_of(settings.server_name)
        lines += ["", f"{name} {{", f"    reverse_proxy /.well-known/matrix/* {backend}", "}"]
    return "\n".join(lines)


def nginx(settings: Settings, http_port: int) -> str:
    """Server blocks for nginx; its certificate is the owner's affair.

    No path after the port, so that nginx passes paths on as they came; a long poll may be silent for two minutes.
    """
    passed = [
        f"        proxy_pass http://127.0.0.1:{http_port};",
        "        proxy_http_version 1.1;",
        "        proxy_set_header Host $http_host;",
        "        proxy_set_header X-Forwarded-For $remote_addr;",
        "        proxy_set_header X-Forwarded-Proto $scheme;",
        "        proxy_read_timeout 150s;",
    ]
    lines = [
        "server {",
        f"    listen {_port(settings.reached_at)} ssl;",
        f"    server_name {host_of(settings.reached_at)};",
        "    # ssl_certificate and ssl_certificate_key as for your other sites",
        "    client_max_body_size 100m;",
        "    location / {",
        *passed,
        "    }",
        "}",
    ]
    if is_delegated(settings):
        lines += [
            "",
            f"# in the server block of {host_of(settings.server_name)}:",
            "    location /.well-known/matrix/ {",
            *passed,
            "    }",
        ]
    return "\n".join(lines)


def well_known(settings: Settings) -> list[tuple[str, str]]:
    """The files that a web site at the server's name must have, where it is another machine's: address and content
    (client-server API, "Well-known URI"; server-server API, "Server discovery")."""
    host = settings.reached_at
    name = host_of(settings.server_name)
    server = host if ":" in host.rpartition("]")[2] else f"{host}:443"
    return [
        (
            f"https://{name}/.well-known/matrix/client",
            json.dumps({"m.homeserver": {"base_url": f"https://{host}"}}, indent=2),
        ),
        (f"https://{name}/.well-known/matrix/server", json.dumps({"m.server": server}, indent=2)),
    ]


def is_delegated(settings: Settings) -> bool:
    """Whether people are named after one host and the server stands at another."""
    return host_of(settings.reached_at) != host_of(settings.server_name)


def _port(authority: str) -> str:
    return authority.rpartition("]")[2].partition(":")[2] or "443"
