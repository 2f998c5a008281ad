"""What came out of a run of Complement, read from the JSON of ``go test -json``."""

import json
import re
from collections import defaultdict
from pathlib import Path

from msgspec import Struct, field


class Results(Struct):
    """The tests of one package.

    Args:
        package: its name.
        outcome: pass, fail or skip for each test that has no tests inside.
        output: what each test said, a line each.
    """

    package: str
    outcome: dict[str, str] = field(default_factory=dict)
    output: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def with_outcome(self, outcome: str) -> list[str]:
        """The tests that ended so, in order of their names."""
        return sorted(name for name, how in self.outcome.items() if how == outcome)

    @property
    def failed(self) -> list[str]:
        """The tests that failed."""
        return self.with_outcome("fail")

    def reason(self, name: str) -> str:
        """The sentence with which a test failed or was skipped, as well as it can be told from its output."""
        complaints = [
            line.strip()
            for line in map(_plain, self.output[name])
            if re.match(r"\s*[\w./-]+\.go:\d+: ", line)
            and not re.search(r"CleanUp|Deploy(ed|:)|localhost:\d+ =>", line)
        ]
        return complaints[-1] if complaints else ""

    def renew(self, later: "Results") -> None:
        """Put what a later run of some tests said in the place of what this one said of them."""
        again = {name.partition("/")[0] for name in later.outcome}
        kept = {name: how for name, how in self.outcome.items() if name.partition("/")[0] not in again}
        self.outcome = {**kept, **later.outcome}
        self.output.update(later.output)

    def summary(self) -> str:
        """How many passed, and which did not, for whoever ran them."""
        passed, failed, skipped = (self.with_outcome(how) for how in ("pass", "fail", "skip"))
        judged = len(passed) + len(failed)
        share = 100 * len(passed) / judged if judged else 0.0
        lines = [f"FAIL {name}: {self.reason(name)[:300]}" for name in failed]
        lines += [f"{self.package}: {len(passed)} of {judged} passed ({share:.1f} %), {len(skipped)} skipped"]
        return "\n".join(lines)


def read(path: Path) -> Results:
    """The results in a file that ``go test -json`` or test2json wrote."""
    results = Results(package=path.stem)
    began: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                action = json.loads(line)
            except ValueError:
                continue  # what the build or a crash says in between
            name = action.get("Test")
            if name is None:
                continue
            match action["Action"]:
                case "run":
                    began.append(name)
                case "output":
                    results.output[name].append(action["Output"])
                case "pass" | "fail" | "skip" as how:
                    results.outcome[name] = how
    for name in began:
        results.outcome.setdefault(name, "fail")  # cut off by a crash or the time limit
    for name in sorted(results.outcome, reverse=True):
        inside = [how for other, how in results.outcome.items() if other.startswith(f"{name}/")]
        # A test that failed by itself, and not by one of those inside it, is a failure of its own.
        if inside and (results.outcome[name] != "fail" or "fail" in inside):
            del results.outcome[name]
    return results


def _plain(line: str) -> str:
    """A line without the signs that colour it in a terminal."""
    return re.sub(r"\x1b\[\d+m", "", line)
