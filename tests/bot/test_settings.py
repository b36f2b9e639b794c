from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from bot import config_sources
from bot.config_sources import ConfigError
from bot.settings import FLAGS, Settings, load
from bot.subject_setup import build_all
from subjects.clock import SystemClock
from subjects.protocols import Severity

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "operator.example.toml"

SUBJECT = '[subjects.rl]\nkind = "ratelimiter"\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(toml: str, environ: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> list[str]:
    Path("operator.toml").write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load(environ=environ, flags=flags)
    assert str(caught.value) == "\n".join(caught.value.lines)
    return list(caught.value.lines)


KNOWN = "known are heartbeat_s, heartbeat_url, incidents, log, slack, state_dir, subjects, web"

BAD_FILES = {
    'stat_dir = "x"': "operator.toml: stat_dir: there is no such key; did you mean state_dir?",
    "nonsense = 1": f"operator.toml: nonsense: there is no such key; {KNOWN}",
    "state_dir = 3": "operator.toml: state_dir: 3 is not a path; write a path",
    "web = 3": "operator.toml: web: 3 is not a table; write a table",
    "[web]\nprot = 1": "operator.toml: web.prot: there is no such key; did you mean port?",
    "[web]\nport = 'x'": 'operator.toml: web.port: "x" is not a whole number; write a whole number',
    "[web]\nport = 1.5": "operator.toml: web.port: 1.5 is not a whole number; write a whole number",
    "[web]\nport = true": (
        "operator.toml: web.port: is true or false where a number belongs; write a number such as 30"
    ),
    "[web]\nport = 70000": "operator.toml: web.port: 70000 is out of range; write at most 65535",
    "[web]\nport = -1": "operator.toml: web.port: -1 is out of range; write at least 0",
    "[web]\nhost = ''": 'operator.toml: web.host: "" is no value; write one',
    "[web]\nhost = ['a']": "operator.toml: web.host: a list is not a text; write a text",
    "[incidents]\nhold_s = 0": "operator.toml: incidents.hold_s: 0 is out of range; write more than 0",
    "[incidents]\nhold_s = nan": "operator.toml: incidents.hold_s: nan is out of range; write more than 0",
    "[incidents]\nhold_s = inf": "operator.toml: incidents.hold_s: inf is out of range; write at most 604800",
    "heartbeat_url = 'ftp://x'": ("operator.toml: heartbeat_url: is not a URL: write it like http://rl-1:8080"),
    "[log]\nlevel = 'loud'": (
        "operator.toml: log.level: \"loud\" is not known; write 'debug', 'info', 'warning' or 'error'"
    ),
    "[slack]\nchannel = 'incidents'": (
        'operator.toml: slack.channel: "incidents" does not fit; write a channel\'s name like "#incidents", or its id'
    ),
    "[slack.channels]\nrll = '#a'\n[subjects.rl]\nkind = 'ratelimiter'": (
        "operator.toml: slack.channels.rll: there is no subject of that name; did you mean rl?"
    ),
    "[slack.call]\nbad = 'here'": (
        "operator.toml: slack.call.bad: \"bad\" is not known; write 'critical' or 'warning'"
    ),
    "[slack.call]\ncritical = '@ana'": (
        "operator.toml: slack.call.critical: is nobody that Slack can call; write a user group's id (S…), "
        "a user's id (U… or W…), or here"
    ),
    "subjects = 3": "operator.toml: subjects: 3 is not a table; write a table",
    "subjects.rl = 3": "operator.toml: subjects.rl: 3 is not a table; write a table",
    "[subjects.rl]\ninterval_s = 0": "operator.toml: subjects.rl.interval_s: 0 is out of range; write at least 0.1",
    "[subjects.rl]\nkind = ''": 'operator.toml: subjects.rl.kind: "" is no value; write one',
    '[subjects."A b"]\nkind = "x"': (
        'operator.toml: subjects.A b: "A b" does not fit; '
        "a subject's name has small letters, digits, - and _, at most 40"
    ),
    "[slack]\nchannel = 'xoxb-1-pasted'": (
        "operator.toml: slack.channel: the value (not shown) does not fit; "
        'write a channel\'s name like "#incidents", or its id'
    ),
    "[slack]\nbot_token = 3": "operator.toml: slack.bot_token: the value (not shown) is not a text; write a text",
}


@pytest.mark.parametrize("toml", BAD_FILES)
def test_a_bad_key_in_the_file_is_one_line_that_says_how_to_mend_it(toml: str) -> None:
    assert refused(toml, {}) == [BAD_FILES[toml]]


BAD_VARIABLES = {
    "OPERATOR_WEB_PORT=3": "OPERATOR_WEB_PORT: there is no such setting; did you mean OPERATOR_WEB__PORT?",
    "OPERATOR_web__port=3": "OPERATOR_web__port: there is no such setting; did you mean OPERATOR_WEB__PORT?",
    "OPERATOR_STATEDIR=x": "OPERATOR_STATEDIR: there is no such setting; did you mean OPERATOR_STATE_DIR?",
    "OPERATOR_NONSENSE=x": (
        "OPERATOR_NONSENSE: there is no such setting; settings are OPERATOR_ and a key, like OPERATOR_WEB__PORT"
    ),
    "OPERATOR_WEB__PORTT=3": "OPERATOR_WEB__PORTT: there is no such key; did you mean port?",
    "OPERATOR_WEB__PORT=x": 'OPERATOR_WEB__PORT: "x" is not a whole number; write a whole number',
    "OPERATOR_WEB=x": "OPERATOR_WEB: is not JSON; write it as JSON, or in a file",
    'OPERATOR_WEB={"port": "x"}': 'OPERATOR_WEB: port: "x" is not a whole number; write a whole number',
    "OPERATOR_SLACK__CALL__CRITICAL=bob": (
        "OPERATOR_SLACK__CALL__CRITICAL: is nobody that Slack can call; write a user group's id (S…), "
        "a user's id (U… or W…), or here"
    ),
    "SLACK_BOT_TOKEN=xoxb-1": "SLACK_BOT_TOKEN: is set, but SLACK_APP_TOKEN is not; set both, or neither",
    "SLACK_APP_TOKEN=xapp-1": "SLACK_APP_TOKEN: is set, but SLACK_BOT_TOKEN is not; set both, or neither",
    "SLACK_BOT_TOKEN=sesame": "SLACK_BOT_TOKEN: is not a bot token; those begin with xoxb-",
    "SLACK_APP_TOKEN=sesame": "SLACK_APP_TOKEN: is not an app-level token; those begin with xapp-",
    "SLACK_API_URL=slack": "SLACK_API_URL: is not a URL: write it like http://rl-1:8080",
}


@pytest.mark.parametrize("variable", BAD_VARIABLES)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_bad_variable_is_one_line_that_names_it(variable: str, place: str) -> None:
    name, _, value = variable.partition("=")
    if place == "environment":
        assert refused("", {name: value}) == [BAD_VARIABLES[variable]]
    else:
        Path(".env").write_text(f"{name}='{value}'\n")
        assert refused("", {}) == [f".env: {BAD_VARIABLES[variable]}"]


def test_every_line_of_several_is_told_at_once() -> None:
    lines = refused("[web]\nport = 'x'\n[log]\nlevle = 'info'", {"OPERATOR_FOO_BAR": "1"}, {"--host": ""})
    assert len(lines) == 4
    assert [line.partition(":")[0] for line in lines] == [
        "OPERATOR_FOO_BAR",
        "--host",
        "operator.toml",
        "operator.toml",
    ]


def test_a_secret_is_shown_nowhere() -> None:
    settings = load(environ={"SLACK_BOT_TOKEN": "xoxb-sesame", "SLACK_APP_TOKEN": "xapp-sesame"})
    assert settings.slack.configured
    assert "sesame" not in repr(settings) + str(settings) + settings.model_dump_json()
    for toml in ("[slack]\nbot_token = 'sesame'", "[slack]\nbot_token = ['sesame']", "[slack]\ntoken = 'sesame'"):
        assert "sesame" not in "".join(refused(toml, {}))


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("x = [", "operator.toml: is not valid TOML: "),
        (b"x = '\xff'", "operator.toml: is not UTF-8 text (byte 5); save it as UTF-8"),
    ],
)
def test_a_file_that_is_no_toml_says_so(file: str | bytes, words: str) -> None:
    Path("operator.toml").write_bytes(file if isinstance(file, bytes) else file.encode())
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(environ={})


def test_a_file_that_was_named_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"^--config: there is no file nowhere\.toml; name the one"):
        load(config=Path("nowhere.toml"), environ={})
    with pytest.raises(ConfigError, match=r"^OPERATOR_CONFIG: there is no file elsewhere\.toml; name the one"):
        load(environ={"OPERATOR_CONFIG": "elsewhere.toml"})


def test_flag_beats_environment_beats_dotenv_beats_file_beats_default() -> None:
    sources = {
        "file": lambda: Path("operator.toml").write_text("[web]\nport = 1\n"),
        ".env": lambda: Path(".env").write_text("OPERATOR_WEB__PORT=2\n"),
    }
    assert load(environ={}).web.port == 8787
    sources["file"]()
    assert load(environ={}).web.port == 1
    sources[".env"]()
    assert load(environ={}).web.port == 2
    assert load(environ={"OPERATOR_WEB__PORT": "3"}).web.port == 3
    assert load(environ={"OPERATOR_WEB__PORT": "3"}, flags={"--port": "4"}).web.port == 4
    assert load(environ={"OPERATOR_WEB__PORT": ""}, flags={"--port": None}).web.port == 2


def test_sources_are_merged_key_by_key() -> None:
    Path("operator.toml").write_text(SUBJECT + "interval_s = 9\n[subjects.rl.nodes]\na = 'http://a'\n")
    environ = {"OPERATOR_SUBJECTS__RL__INTERVAL_S": "2", "OPERATOR_SLACK__CALL": '{"warning": "here"}'}
    settings = load(environ=environ)
    assert settings.subjects["rl"].kind == "ratelimiter"
    assert settings.subjects["rl"].interval_s == 2
    assert settings.subjects["rl"].config == {"nodes": {"a": "http://a"}}
    assert settings.slack.call == {Severity.WARNING: "here"}


def test_the_process_environment_is_what_counts_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_WEB__PORT", "5")
    monkeypatch.setenv("OPERATOR_FAILPOINT", "nothing:1")
    assert load().web.port == 5
    assert load(environ={}).web.port == 8787


def test_a_flag_reaches_the_key_that_it_stands_for() -> None:
    given_ = {"--state-dir": "s", "--host": "h", "--port": "7", "--log-level": "debug", "--log-format": "json"}
    assert given_.keys() == FLAGS.keys()
    settings = load(environ={}, flags=given_)
    assert (settings.state_dir, settings.web.host, settings.web.port) == (Path("s"), "h", 7)
    assert (settings.log.level, settings.log.format) == ("debug", "json")


maybe_dir = st.none() | st.sampled_from(["", "a", "b/c", "/d"])


@given(flag=maybe_dir, variable=maybe_dir, dotenv=maybe_dir, file=maybe_dir, named=st.booleans())
def test_the_short_way_to_the_state_directory_says_what_the_settings_say(
    flag: str | None, variable: str | None, dotenv: str | None, file: str | None, named: bool
) -> None:
    name = "other.toml" if named else "operator.toml"
    for path in ("operator.toml", "other.toml", ".env"):
        Path(path).unlink(missing_ok=True)
    if file or named:
        Path(name).write_text(f"state_dir = '{file}'" if file else "")
    if dotenv is not None:
        Path(".env").write_text(f"OPERATOR_STATE_DIR={dotenv}\n")
    environ = {"OPERATOR_STATE_DIR": variable} if variable is not None else {}
    if named:
        environ["OPERATOR_CONFIG"] = name
    chosen = Path(flag) if flag else None
    found = config_sources.state_dir(flag=chosen, config=None, environ=environ)
    assert found == load(flags={"--state-dir": flag or None}, environ=environ).state_dir


def test_the_short_way_refuses_what_is_no_folder() -> None:
    Path("operator.toml").write_text("state_dir = 3")
    with pytest.raises(ConfigError, match=r"^operator\.toml: state_dir: "):
        config_sources.state_dir(flag=None, config=None, environ={})


def uncommented() -> str:
    """The example with every ``# key = value`` and ``# [table]`` in force."""
    return re.sub(r"(?m)^# (\[[a-z.]+\]|[a-z_]+ = .*)$", r"\1", EXAMPLE.read_text())


def test_the_example_loads_as_it_stands_and_makes_its_subjects() -> None:
    settings = load(config=EXAMPLE, environ={})
    assert settings.file == EXAMPLE
    assert list(build_all(settings, SystemClock())) == ["ratelimiter"]


def test_the_example_shows_every_key() -> None:
    shown = tomllib.loads(uncommented())
    missing: list[str] = []

    def compare(model: type[BaseModel], table: Mapping[str, object], path: str) -> None:
        for name, field in model.model_fields.items():
            value = table.get(name)
            if value is None:
                missing.append(path + name)
            elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                assert isinstance(value, dict)
                compare(field.annotation, value, f"{path}{name}.")

    compare(Settings, shown, "")
    assert missing == []


def test_what_the_example_calls_a_default_is_one() -> None:
    shown = load(config=EXAMPLE, environ={})
    subjects = shown.subjects
    assert {**shown.model_dump(), "subjects": {}} == Settings().model_dump()
    assert subjects["ratelimiter"].interval_s == 5


def test_the_example_is_still_right_with_everything_in_force(here: Path) -> None:
    text = uncommented().replace("xoxb-…", "xoxb-1").replace("xapp-…", "xapp-1")
    (here / "all.toml").write_text(text)
    settings = load(config=here / "all.toml", environ={})
    assert settings.slack.configured
    assert settings.slack.call.keys() == set(Severity)
    assert list(build_all(settings, SystemClock())) == ["ratelimiter"]


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("", "operator.toml: subjects: there are none, so there is nothing to watch; add a table such as"),
        ("[subjects.ratelimitr]", "operator.toml: subjects.ratelimitr: there is no subject kind 'ratelimitr'"),
        ("[subjects.ratelimiter]\nlimits = ['a']", "operator.toml: subjects.ratelimiter: nodes: is missing; add it."),
        (
            "[subjects.ratelimiter]\nlimit = ['a']\nnodes = {a = 'http://a'}",
            "operator.toml: subjects.ratelimiter: limits: is missing; add it. limit: there is no such key;",
        ),
    ],
)
def test_a_subject_that_cannot_be_made_is_one_line(toml: str, line: str) -> None:
    Path("operator.toml").write_text(toml)
    with pytest.raises(ConfigError) as caught:
        build_all(load(environ={}), SystemClock())
    (words,) = caught.value.lines
    assert words.startswith(line)


def test_without_a_file_it_is_said_how_to_get_one(here: Path) -> None:
    assert not (here / "operator.toml").exists()
    with pytest.raises(ConfigError, match=r"there is no operator\.toml here.*copy operator\.example\.toml"):
        build_all(load(environ={}), SystemClock())
