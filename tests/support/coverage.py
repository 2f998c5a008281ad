"""Every operation of the specification with its status: done, refused on purpose, or not yet.

    python -m tests.support.coverage > docs/coverage.md      (what `just coverage` does)

Done is what an endpoint is declared for; the reasons of refusals are below.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from tests.support.endpoints import Specified, declared, specified

NO_MAIL = "answered with M_THREEPID_DENIED: Hearth sends neither mail nor text messages, and keeps no such addresses"
NO_IDENTITY = "answered with M_SERVER_NOT_TRUSTED: Hearth trusts no identity server"
OLD_SYNC = "the sync before /sync; no client asks for it any more"
REFUSED: Mapping[str, str] = {
    "post3PIDs": NO_MAIL,
    "add3PID": NO_MAIL,
    "bind3PID": NO_IDENTITY,
    "requestTokenTo3PIDEmail": NO_MAIL,
    "requestTokenTo3PIDMSISDN": NO_MAIL,
    "requestTokenToRegisterEmail": NO_MAIL,
    "requestTokenToRegisterMSISDN": NO_MAIL,
    "requestTokenToResetPasswordEmail": NO_MAIL,
    "requestTokenToResetPasswordMSISDN": NO_MAIL,
    "initialSync": OLD_SYNC,
    "getOneEvent": "the event without its room; GET /rooms/{roomId}/event/{eventId} took its place",
    "exchangeThirdPartyInvite": "answered with M_FORBIDDEN: nobody here can have invited somebody by an address, as"
    " Hearth trusts no identity server",
    "askPolicyServerToSign": "Hearth asks policy servers, and is none itself",
}
"""Why an operation is not meant to work, by its name; some are declared, to refuse with a sentence."""
BEGUN: Mapping[str, str] = {"getPushers": "tells of none, as none can be set"}
"""What is declared and does not do all that it is meant to, by its name."""
APIS = {
    "client-server": "Client-server API",
    "server-server": "Server-server API",
    "application-service": "Application service API",
    "push-gateway": "Push gateway API",
}
ASKED_BY_US = {"application-service", "push-gateway"}
"""APIs that others answer: Hearth is the one that asks, so no endpoint can be declared."""
HEAD = """# Coverage

Every operation of the specification, and whether Hearth has it. Written by `just coverage`; a test keeps it true.
"""


def status(operation: Specified, have: Collection[tuple[str, str]]) -> str:
    """What there is to say of an operation.

    Args:
        operation: the operation.
        have: what is declared, as ``endpoints.declared`` gives it.
    """
    if operation.operation in REFUSED:
        return f"refused: {REFUSED[operation.operation]}"
    if operation.operation in BEGUN:
        return f"not yet: {BEGUN[operation.operation]}"
    return "done" if operation.key in have else "not yet"


def page(operations: Iterable[Specified], have: Collection[tuple[str, str]]) -> str:
    """The page, an API after the other, in it a table for each subject."""
    listed = [(operation, status(operation, have)) for operation in operations if operation.api not in ASKED_BY_US]
    lines = [HEAD, "| API | operations | done | refused | not yet |", "| --- | ---: | ---: | ---: | ---: |"]
    for api, title in APIS.items():
        count = Counter(said.partition(":")[0] for operation, said in listed if operation.api == api)
        if count:
            figures = [sum(count.values()), count["done"], count["refused"], count["not yet"]]
            lines.append(f"| {title} | {' | '.join(map(str, figures))} |")
    lines += ["", "The application service and push gateway APIs are answered by others: Hearth is the one that asks."]
    for api, title in APIS.items():
        subjects = sorted({operation.tag for operation, _ in listed if operation.api == api})
        for subject in subjects:
            lines += ["", f"## {title}{f': {subject}' if subject else ''}", ""]
            lines += ["| operation | | status |", "| --- | --- | --- |"]
            lines += [
                f"| {operation.method} {operation.path} | {operation.operation}"
                f"{' (deprecated)' if operation.deprecated else ''} | {said} |"
                for operation, said in listed
                if operation.api == api and operation.tag == subject
            ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(specified(), declared()), end="")
