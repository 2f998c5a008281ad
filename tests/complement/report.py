"""Writes docs/conformance.md from the results of runs.

    python -m tests.complement.report FILE.json … --suite COMMIT > docs/conformance.md

Of several files of a package, a later one counts for the tests that were run again in it.
The reason why a test does not pass is written by people, in ``reasons.toml`` beside this: the beginning of a test's
name and a sentence. What has none there is shown with what the test said.
"""

import argparse
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.complement.results import Results, read

REASONS = Path(__file__).with_name("reasons.toml")
GOALS = {"csapi": 97, "federation": 95}
APART = "issue of their own."
"""How a reason ends that says that a part of the server is not there yet."""
HEAD = """# Conformance

What [Complement](https://github.com/matrix-org/complement), the conformance suite of the Matrix project, says of
Hearth. Written by `python -m tests.complement.report` from a run of `just complement`; tests/complement/README.md says
how to repeat it. Counted are tests that have no tests inside them; what the suite itself skips is not counted. Failures
for the reason alone that a part of the server is not there yet (media, pushers, application services) are also counted
apart: the second share, which the goals are about, leaves them out. The package `federation` is the suite's top-level
one; the packages `msc…` try proposals that are no part of the specification yet, and only those that Hearth takes up
are run.
"""


HEADS = (
    "| package | passed | failed | of those for parts that are not there yet | skipped by the suite | share |"
    " without those | goal |"
)


def report(runs: Sequence[Results], reasons: Mapping[str, str], suite: str) -> str:
    """The page.

    Args:
        runs: the results, a package each.
        reasons: for the beginning of a test's name, why such tests do not pass.
        suite: which state of the suite it was.
    """
    lines = [HEAD, f"Suite: {suite}.", "", HEADS]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for run in runs:
        passed, failed, skipped = (len(run.with_outcome(how)) for how in ("pass", "fail", "skip"))
        apart = sum(_reason(run, name, reasons).endswith(APART) for name in run.with_outcome("fail"))
        shares = f"{_share(passed, failed)} | {_share(passed, failed - apart)}"
        goal = f"{GOALS[run.package]} %" if run.package in GOALS else ""
        lines.append(f"| {run.package} | {passed} | {failed} | {apart} | {skipped} | {shares} | {goal} |")
    for run in runs:
        lines += ["", f"## {run.package}", ""]
        lines += _section("Does not pass", run, "fail", reasons) + _section("Skipped", run, "skip", reasons)
        lines += ["### Passes", "", *_passed(run)]
    return "\n".join(lines) + "\n"


def _share(passed: int, failed: int) -> str:
    return f"{100 * passed / (passed + failed) if passed + failed else 0.0:.1f} %"


def _section(title: str, run: Results, outcome: str, reasons: Mapping[str, str]) -> list[str]:
    names = run.with_outcome(outcome)
    if not names:
        return []
    rows = [f"| {_cell(name)} | {_cell(_reason(run, name, reasons))} |" for name in names]
    return [f"### {title}", "", "| test | why |", "| --- | --- |", *rows, ""]


def _reason(run: Results, name: str, reasons: Mapping[str, str]) -> str:
    known = [begin for begin in reasons if name == begin or name.startswith(begin)]
    if known:
        return reasons[max(known, key=len)]
    return f"said: {run.reason(name)[:240] or 'nothing'}"


def _passed(run: Results) -> list[str]:
    """One line a test of the top level, with the tests inside it that pass."""
    inside: dict[str, list[str]] = {}
    for name in run.with_outcome("pass"):
        top, _, rest = name.partition("/")
        inside.setdefault(top, []).append(rest)
    return [
        f"- {top}" + (f": {len(rests)} inside: {', '.join(_cell(rest) for rest in rests)}" if rests != [""] else "")
        for top, rests in sorted(inside.items())
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<").replace("\n", " ").strip()


def main() -> None:
    """Read the command line and print the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.complement.report", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="what runs wrote, PACKAGE.json")
    parser.add_argument("--suite", required=True, help="commit and date of the suite")
    options = parser.parse_args()
    reasons = tomllib.loads(REASONS.read_text())
    runs: dict[str, Results] = {}
    for path in options.results:
        later = read(path)
        runs.setdefault(later.package, later).renew(later)
    sys.stdout.write(report(list(runs.values()), reasons, options.suite))


if __name__ == "__main__":
    main()
