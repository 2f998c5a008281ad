"""Runs in an environment that has schemathesis: asks a server what an OpenAPI document allows, and what it does not.

Reads one JSON object on standard input:

    {"document": …, "url": …, "token": …, "seconds": …, "examples": …}

and writes one JSON object a line for each operation:

    {"operation": …, "tried": requests, "failed": null or {"request": …, "status": …, "body": …}}

where failed is an answer with 5xx, or none.
"""

import contextlib
import json
import sys
import time
import warnings

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode

asked = json.load(sys.stdin)
session = requests.Session()
users = 0


class EnoughError(Exception):
    """The time for an operation is over."""


class Trial:
    """What became of one operation.

    Args:
        operation: as schemathesis knows it.
        ends: when to go on to the next one.
    """

    def __init__(self, operation, ends):
        self.name = operation.definition.raw["operationId"]
        self.strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE) | operation.as_strategy(
            generation_mode=GenerationMode.NEGATIVE
        )
        self.ends = ends
        self.tried = 0
        self.failed = None

    def run(self):
        """Ask until there were enough examples, or the time is over."""
        with contextlib.suppress(EnoughError):
            settings(hypothesis.given(self.strategy)(self.attempt))()

    def attempt(self, case):
        """Ask once."""
        if self.tried and time.monotonic() > self.ends:
            raise EnoughError
        self.tried += 1
        try:
            headers = {"Authorization": f"Bearer {asked['token']}"}
            answer = case.call(base_url=asked["url"], session=session, headers=headers, timeout=20)
            status, body = answer.status_code, answer.text
        except requests.exceptions.InvalidHeader:
            return  # which no client could send either
        except requests.RequestException as error:
            status, body = 0, repr(error)
        if (status == 401 and "UNKNOWN_TOKEN" in body) or (status == 403 and "SUSPENDED" in body):
            register()
        if status == 0 or status >= 500:
            self.failed = {"request": case.as_curl_command(), "status": status, "body": body[:500]}


def register():
    """A new user's access token: what is tried may log out, or end, the one that asked."""
    global users
    users += 1
    body = {"username": f"fuzz{users}", "password": "a long password", "auth": {"type": "m.login.dummy"}}
    answer = session.post(f"{asked['url']}/_matrix/client/v3/register", json=body, timeout=20)
    asked["token"] = answer.json()["access_token"]


settings = hypothesis.settings(
    max_examples=asked["examples"],
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    verbosity=hypothesis.Verbosity.quiet,
)


def main():
    """Try every operation in turn, with its share of the time that is left."""
    warnings.simplefilter("ignore")
    schema = schemathesis.openapi.from_dict(asked["document"])
    operations = [result.ok() for result in schema.get_all_operations()]
    ends = time.monotonic() + asked["seconds"]
    for index, operation in enumerate(operations):
        now = time.monotonic()
        trial = Trial(operation, now + max(0, ends - now) / (len(operations) - index))
        trial.run()
        print(json.dumps({"operation": trial.name, "tried": trial.tried, "failed": trial.failed}), flush=True)


if __name__ == "__main__":
    main()
