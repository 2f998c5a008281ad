"""How the output of a run is read and told."""

import json
from pathlib import Path

from tests.complement.report import report
from tests.complement.results import Results, read

SAID = "    some_test.go:12: \u001b[31mMatchResponse got status 404 want 200\u001b[39m\n"


def written(folder: Path, *actions: tuple[str, str]) -> Results:
    """The results of a file with these actions: what, and of which test."""
    lines = ["a line of the build"]
    lines += [json.dumps({"Action": how, "Test": name, "Package": "csapi", "Output": SAID}) for how, name in actions]
    path = folder / "csapi.json"
    path.write_text("\n".join(lines))
    return read(path)


def test_only_tests_without_tests_inside_are_counted(tmp_path: Path) -> None:
    results = written(
        tmp_path,
        *(("pass", "TestA/one"), ("fail", "TestA/two/GET_/x"), ("fail", "TestA/two"), ("fail", "TestA")),
        *(("pass", "TestB/one"), ("fail", "TestB")),
        *(("run", "TestC"), ("run", "TestC/one"), ("pass", "TestC/one")),
        *(("skip", "TestD"), ("pass", "TestE")),
    )
    assert results.outcome == {
        "TestA/one": "pass",
        "TestA/two/GET_/x": "fail",
        "TestB/one": "pass",
        "TestB": "fail",  # by itself
        "TestC/one": "pass",
        "TestC": "fail",  # never ended
        "TestD": "skip",
        "TestE": "pass",
    }


def test_the_report_gives_reasons_and_figures(tmp_path: Path) -> None:
    results = written(
        tmp_path,
        ("pass", "TestA/one"),
        ("output", "TestA/two"),
        ("fail", "TestA/two"),
        ("fail", "TestB"),
        ("fail", "TestB2"),
    )
    page = report([results], {"Test": "general", "TestB": "because"}, "abc")
    assert "| csapi | 1 | 3 | 0 | 0 | 25.0 % | 25.0 % | 97 % |" in page
    apart = report([results], {"TestB": "Bees are an issue of their own."}, "abc")
    assert "| csapi | 1 | 3 | 2 | 0 | 25.0 % | 50.0 % | 97 % |" in apart
    assert "| TestA/two | general |" in page
    assert "| TestB2 | because |" in page
    bare = report([results], {}, "abc")
    assert "| TestA/two | said: some_test.go:12: MatchResponse got status 404 want 200 |" in bare
    assert "- TestA: 1 inside: one" in bare


def test_what_was_run_again_counts_anew(tmp_path: Path) -> None:
    first = written(tmp_path, ("pass", "TestA/one"), ("fail", "TestA/two"), ("fail", "TestA"), ("fail", "TestB"))
    first.renew(written(tmp_path, ("pass", "TestA/one"), ("pass", "TestA/three"), ("pass", "TestA")))
    assert first.outcome == {"TestA/one": "pass", "TestA/three": "pass", "TestB": "fail"}
