"""The document that requests are made up from."""

import json

import pytest

from tests.fuzz.document import document
from tests.support import endpoints


def test_every_operation_is_described_by_itself() -> None:
    """Nothing refers elsewhere, nothing makes the server wait, and what exists is named."""
    if not endpoints.TABLE.exists():
        pytest.skip("the specification is not beside the project")
    operations = [each for each in endpoints.specified() if each.api == "client-server"]
    made = document(operations, {"roomId": ["!a:b"]})
    assert sum(map(len, made["paths"].values())) == len({each[1:3] for each in operations})
    assert '"$ref"' not in json.dumps(made)
    send = made["paths"]["/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}"]["put"]
    room = next(each for each in send["parameters"] if each["name"] == "roomId")
    assert room["schema"]["anyOf"][0] == {"enum": ["!a:b"]}
    waits = next(
        each for each in made["paths"]["/_matrix/client/v3/sync"]["get"]["parameters"] if each["name"] == "timeout"
    )
    assert waits["schema"] == {"enum": [0]}
    body = made["paths"]["/_matrix/client/v3/createRoom"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["properties"]["invite_3pid"]["items"]["required"]
