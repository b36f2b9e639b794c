"""The house keeps its shape: what may import what, and that the lint that says so can fail."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bot", "scheduler", "sandbox", "subjects", "compose")
LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]


@pytest.mark.parametrize("name", PACKAGES)
def test_the_generic_names_resolve_inside_the_repository(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__file__ is not None
    assert Path(package.__file__).resolve().is_relative_to(ROOT)


VIOLATIONS = {
    "scheduler imports bot": ("scheduler/loop.py", "import bot.events"),
    "subjects imports scheduler": ("subjects/registry.py", "import scheduler.loop"),
    "bot imports the world": ("bot/incidents.py", "import compose.world"),
    "the world imports ours": ("compose/world.py", "import subjects.protocols"),
    "bot imports docker": ("bot/incidents.py", "import docker"),
    "cli imports slack_sdk": ("bot/cli/__init__.py", "import slack_sdk"),
    "cli imports anthropic": ("bot/cli/__init__.py", "import anthropic"),
    "incidents imports peewee": ("bot/incidents.py", "import peewee"),
    "the protocols import httpx": ("subjects/protocols.py", "import httpx"),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("copy")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "static"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        LINT, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_forbidden_import_is_noticed(copy: Path, violation: str) -> None:
    name, line = VIOLATIONS[violation]
    original = (copy / name).read_text()
    try:
        (copy / name).write_text(f"{original}\n{line}\n")
        result = lint(copy)
        assert result.returncode != 0, result.stdout
        assert "BROKEN" in result.stdout
    finally:
        (copy / name).write_text(original)


def test_as_it_stands_nothing_is_broken(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout


def python_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split()]


def test_files_are_about_one_thing() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in python_files()
        if (lines := len(path.read_text().splitlines())) > 450
    }
    assert long == {}


def test_every_top_level_folder_has_a_readme_of_at_most_a_screen() -> None:
    for name in (*PACKAGES, "tests"):
        lines = (ROOT / name / "README.md").read_text().splitlines()
        assert 5 <= len(lines) <= 60, name
