"""Each command as a process: its exit code, its JSON, its words for people, and nothing else."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli.exits import EPILOG
from bot.store.database import login
from tests.bot.running import OPERATOR, ROOT, Running, run_cli

REFERENCE = (ROOT / "docs" / "reference.md").read_text()
COMMANDS = [
    ["run"], ["status"], ["check"], ["ack"], ["take"], ["mute"], ["subjects"], ["demo"],
    ["tickets"], ["tickets", "list"], ["tickets", "show"], ["audit"], ["audit", "list"], ["audit", "show"],
    ["audit", "verify"],
]  # fmt: skip
ME = login()


def documented(command: str) -> set[str]:
    """The keys that the reference lists for a command."""
    for line in REFERENCE.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 4 and cells[1] == command:
            return set(re.findall(r"`(\w+)`", cells[2]))
    raise AssertionError(f"the reference has no row {command}")


MANY = """
import contextlib, io, json, sys
from bot.cli import main
told = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["operator", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as end:
            told.append([end.code, out.getvalue(), err.getvalue()])
print(json.dumps([told, sorted(sys.modules)]))
"""


def many(commands: list[list[str]], scene: Running) -> tuple[list[tuple[int, str, str]], set[str]]:
    """Run many in one fresh process: the exit code and the output of each, and what was imported for all of them."""
    done = run_cli([sys.executable, "-c", MANY, json.dumps(commands)], scene.folder, scene.environment)
    assert done.returncode == 0, done.stderr
    told, modules = json.loads(done.stdout)
    assert len(told) == len(commands)
    return [(code, out, err) for code, out, err in told], set(modules)


def test_help_says_the_exit_codes_and_imports_nothing_heavy(scene: Running) -> None:
    told, modules = many([[*command, "--help"] for command in COMMANDS], scene)
    for code, out, err in told:
        assert (code, err) == (0, "")
        assert " ".join(EPILOG.split()) in " ".join(out.split())
    heavy = {"slack_bolt", "slack_sdk", "aiohttp", "apscheduler", "structlog", "rich", "httpx", "peewee", "asyncio"}
    assert modules & (heavy | {"pydantic_settings"}) == set()


@pytest.mark.parametrize("arguments", [["status"], ["tickets", "list", "--json"], ["audit", "list"]], ids=" ".join)
def test_reading_imports_only_the_store(past: Running, arguments: list[str]) -> None:
    script = "import sys; from bot.cli import main\ntry: main()\nfinally: print(sorted(sys.modules), file=sys.stderr)"
    command = [sys.executable, "-c", script, *past.command(*arguments)[len(OPERATOR) :]]
    done = run_cli(command, past.folder, past.environment)
    loaded = set(re.findall(r"'([\w.]+)'", done.stderr))
    assert "peewee" in loaded
    assert loaded & {"slack_bolt", "slack_sdk", "aiohttp", "apscheduler", "structlog", "rich", "httpx"} == set()
    assert "pydantic_settings" not in loaded


def test_version_and_no_command(tmp_path: Path) -> None:
    done = run_cli([*OPERATOR, "--version"], tmp_path)
    assert re.fullmatch(r"operator \d+\.\d+\.\d+\n", done.stdout)
    assert run_cli([*OPERATOR], tmp_path).returncode == 2


WRONG = [
    ["nonsense"], ["status", "--nonsense"], ["tickets"], ["tickets", "show"], ["tickets", "show", "x"],
    ["tickets", "show", "0"], ["ack"], ["take", "x"], ["mute"], ["mute", "1", "forever"], ["mute", "1", "8d"],
    ["audit", "show", "x"], ["audit", "verify", "--anchor", "5"], ["audit", "verify", "--anchor", "5:12"],
    ["demo", "tikv"], ["demo", "--fault", "earthquake", "--headless", "--heal-by-hand"], ["demo", "--headless"],
    ["demo", "--fault", "none"], ["run", "--port"],
]  # fmt: skip


def test_wrong_usage_is_2_and_touches_nothing(past: Running) -> None:
    before = past.database.read_bytes()
    for code, out, err in many(WRONG, past)[0]:
        assert code == 2, err
        assert "Error: " in err or "Usage: operator" in err + out
        assert "Traceback" not in err
    assert run_cli([*OPERATOR, *WRONG[0]], past.folder, past.environment).returncode == 2
    assert past.database.read_bytes() == before


NEEDS_A_DATABASE = [
    ["status"], ["tickets", "list"], ["tickets", "show", "1"], ["ack", "1"], ["take", "1"], ["mute", "1"],
    ["audit", "list"], ["audit", "show", "1"], ["audit", "verify"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", NEEDS_A_DATABASE, ids=" ".join)
def test_without_a_database_it_is_4_and_none_is_made(scene: Running, arguments: list[str]) -> None:
    done = scene.cli(*arguments)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        f"operator: there is no database at {scene.database}; `operator run` makes one, or set state_dir\n"
    )
    assert not scene.state_dir.exists()


def test_a_configuration_that_cannot_be_read_is_3(scene: Running) -> None:
    (scene.folder / "operator.toml").write_text("state_dir = [")
    for code, out, err in many([*NEEDS_A_DATABASE, ["run"], ["check"], ["subjects"]], scene)[0]:
        assert (code, out) == (3, "")
        assert re.fullmatch(r"operator: operator\.toml: is not valid TOML: .*; mend that line\n", err)


@pytest.mark.parametrize("arguments", [["run"], ["check"], ["subjects"]], ids=" ".join)
def test_every_wrong_setting_is_a_line(scene: Running, arguments: list[str]) -> None:
    (scene.folder / "operator.toml").write_text("[web]\nprot = 1\n[lgo]\n")
    done = scene.cli(*arguments)
    assert done.returncode == 3
    assert [line.partition("operator.toml: ")[2] for line in done.stderr.splitlines()] == [
        "web.prot: there is no such key; did you mean port?",
        "lgo: there is no such key; did you mean log?",
    ]


def test_status_in_json_has_the_keys_of_the_readme(past: Running) -> None:
    done = past.cli("status", "--json")
    assert done.returncode == 1
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found.keys() == documented("`status`")
    assert found["process"] is None
    (watch,) = found["subjects"]
    assert watch.keys() == documented("… `subjects`")
    (blind,) = found["blind"]
    assert blind.keys() == documented("… `blind`")
    (live,) = found["live"]
    assert (live["ticket"], live["state"], live["severity"]) == (2, "open", "critical")
    assert [found["healthy"], found["running"], found["stuck"], found["tickets"]] == [False, False, False, 2]


def test_tickets_in_json_have_the_keys_of_the_readme(past: Running) -> None:
    found = past.read("tickets", "list")
    assert found.keys() == {"tickets"}
    assert [(one["ticket"], one["live"]) for one in found["tickets"]] == [(2, True), (1, False)]
    assert [one["ticket"] for one in past.read("tickets", "list", "--live")["tickets"]] == [2]
    assert [one["ticket"] for one in past.read("tickets", "list", "--limit", "1")["tickets"]] == [2]
    shown = past.read("tickets", "show", "2")
    assert shown.keys() == documented("`tickets show`")
    assert found["tickets"][0] == {key: shown[key] for key in shown.keys() - {"thread", "entries"}}
    assert shown["thread"] == {"channel": "C123", "ts": "171.5"}
    assert {one["violation"] for one in shown["violations"]} == {"up:1", "slow:*"}
    for violation in shown["violations"]:
        assert violation.keys() == documented("… `violations`")
    assert [entry["ticket"] for entry in shown["entries"]] == [2] * len(shown["entries"])
    assert past.read("tickets", "show", "1")["thread"] is None


def test_the_audit_log_in_json_has_the_keys_of_the_readme(past: Running) -> None:
    entries = past.read("audit", "list")["entries"]
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[0].keys() == documented("`audit show`")
    assert past.read("audit", "show", "3") == entries[2]
    assert [entry["seq"] for entry in past.read("audit", "list", "--after", "2", "--limit", "2")["entries"]] == [3, 4]
    opened = past.read("audit", "list", "--kind", "TicketOpened")["entries"]
    assert [entry["ticket"] for entry in opened] == [1, 2]
    assert {entry["ticket"] for entry in past.read("audit", "list", "--ticket", "2")["entries"]} == {2}
    verified = past.read("audit", "verify")
    assert verified.keys() == documented("`audit verify`")
    assert (verified["ok"], verified["entries"], verified["head"]) == (True, len(entries), entries[-1]["hash"])


def test_verify_compares_with_what_was_noted_elsewhere(past: Running) -> None:
    third = past.read("audit", "show", "3")
    assert past.cli("audit", "verify", "--anchor", f"3:{third['hash'][:12]}").returncode == 0
    done = past.cli("audit", "verify", "--anchor", "3:000000000000")
    assert done.returncode == 1
    assert done.stdout == "The log is not what was written: entry 3 is not the one that was anchored.\n"
    done = past.cli("audit", "verify", "--anchor", f"999:{third['hash']}", "--json")
    assert done.returncode == 1
    assert "before the anchored 999" in json.loads(done.stdout)["why"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tickets", "show", "9"], "there is no ticket 9; `operator tickets list` has them all"),
        (["ack", "9"], "there is no ticket 9; `operator tickets list` has them all"),
        (["ack", "1"], "ticket 1 is resolved already"),
        (["take", "1"], "ticket 1 is resolved already"),
        (["mute", "9"], "there is no ticket 9; `operator tickets list` has them all"),
        (["mute", "ss"], "there is no ticket or watched subject ss; did you mean s?"),
        (["audit", "show", "999"], "there is no entry 999; `operator audit list` has the newest ones"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_1_and_one_line(past: Running, arguments: list[str], words: str) -> None:
    done = past.cli(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"operator: {words}\n")


def test_acknowledge_take_and_mute_are_noted_under_the_login(past: Running) -> None:
    assert past.cli("ack", "2").stdout == "Ticket 2 is acknowledged by you.\n"
    again = past.cli("ack", "2")
    assert (again.returncode, again.stdout) == (0, f"Nothing to do: ticket 2 is acknowledged by {ME} already.\n")
    assert past.cli("take", "2").stdout == "Ticket 2 is yours.\n"
    assert past.cli("mute", "2", "30m").stdout.startswith("Ticket 2 is muted until ")
    assert past.cli("mute", "s", "off").stdout == "s is no longer muted.\n"
    ticket = past.read("tickets", "show", "2")
    assert (ticket["acknowledged_by"], ticket["taken_by"]) == (ME, ME)
    mine = [entry for entry in ticket["entries"] if entry["actor"] == ME]
    assert [entry["kind"] for entry in mine] == ["TicketAcknowledged", "TicketTaken", "Muted", "Muted"]


def test_people_get_plain_text_in_a_pipe_and_nothing_that_steers_a_terminal(past: Running) -> None:
    for arguments in (
        ["status"],
        ["tickets", "list"],
        ["tickets", "show", "2"],
        ["audit", "list"],
        ["audit", "show", "4"],
    ):
        done = past.cli(*arguments)
        assert done.returncode in (0, 1)
        assert done.stderr == ""
        assert "\x1b" not in done.stdout
    status = past.cli("status").stdout
    assert status.startswith("operator has never run here\n")
    assert "s can't be seen since 2026-03-01" in status
    assert re.search(r"^2 +s +critical +open +slow:\*, up:1 ", status, re.MULTILINE)


def on_a_terminal(command: list[str], past: Running, **environment: str) -> str:
    shown: list[bytes] = []
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=past.folder,
        env={**past.environment, "TERM": "xterm-256color", "COLUMNS": "200", **environment},
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    while True:
        try:
            data = os.read(main, 65536)
        except OSError:  # the terminal is closed: the program has ended
            break
        if not data:
            break
        shown.append(data)
    process.wait()
    os.close(main)
    return b"".join(shown).decode()


def test_a_terminal_gets_colour_unless_it_asks_for_none(past: Running) -> None:
    command = past.command("tickets", "list")
    assert "\x1b[" in on_a_terminal(command, past)
    assert "\x1b[" not in on_a_terminal(command, past, NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(command, past, TERM="dumb")


def test_subjects_and_check_in_json_have_the_keys_of_the_readme(scene: Running) -> None:
    (subject,) = scene.read("subjects")["subjects"]
    assert subject.keys() == documented("`subjects`") - {"subjects"}
    assert subject["invariants"][0].keys() == documented("… `invariants`")
    assert scene.cli("subjects").returncode == 0
    done = scene.cli("check", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["unobservable"] == {}
    keys = documented("`check`") - {"verdicts", "unobservable"}
    assert all(one.keys() == keys for one in found["verdicts"])
    assert [one["verdict"] for one in found["verdicts"]] == ["holds"] * 3


def test_check_is_1_when_something_is_broken_and_4_when_nothing_can_be_seen(scene: Running) -> None:
    scene.break_("b")
    done = scene.cli("check", "scripted")
    assert done.returncode == 1
    assert re.search(r"^scripted +up:b +broken +2 x +1 x +b is down\.$", done.stdout, re.MULTILINE)
    (scene.folder / "broken").unlink()
    done = scene.cli("check", "--json")
    assert done.returncode == 4
    assert "No such file" in json.loads(done.stdout)["unobservable"]["scripted"]
    done = scene.cli("check", "scriptd")
    assert done.returncode == 3
    assert done.stderr.endswith("there is no subject of that name; did you mean scripted?\n")


def test_every_read_prints_one_json_document_and_nothing_else(past: Running) -> None:
    for arguments in (
        ["status"], ["tickets", "list"], ["tickets", "show", "2"], ["audit", "list"], ["audit", "show", "1"],
        ["audit", "verify"], ["subjects"], ["check"],
    ):  # fmt: skip
        done = past.cli(*arguments, "--json")
        assert isinstance(json.loads(done.stdout), dict)
        assert done.stdout.count("\n") == 1
        assert done.stderr == ""
