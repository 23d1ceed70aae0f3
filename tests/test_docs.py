"""The Python in the README and in docs/ runs as printed; so do the notebooks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from napari_histodiff.cli.main import main
from tests.nursery import CAN_FORK, LIMIT, Nursery

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))

#: A block is run when the line before it is this comment.
RUN = re.compile(r"^<!-- run -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> str:
    """The marked blocks of a page, one after another."""
    return "\n".join(RUN.findall(page.read_text("utf-8")))


#: This page is run from nothing although it loads a model: it loads torch and all else itself.
COLD = "README.md"


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("nursery")) as made:
        yield made


def run_cold(code: str, folder: Path) -> tuple[int, str]:
    """Run code in a new interpreter; its exit status, and what it warned of."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return run.returncode, run.stderr


@pytest.mark.parametrize("page", [p for p in PAGES if code_of(p)], ids=lambda page: page.name)
def test_python_of_a_page_runs(page: Path, nursery: Nursery, tmp_path: Path) -> None:
    code = code_of(page)
    warm = CAN_FORK and page.name != COLD and "load_model(" in code
    status, told = (nursery.run if warm else run_cold)(code, tmp_path)
    assert status == 0, told


@pytest.mark.skipif(not CAN_FORK, reason="pages run in new interpreters here")
def test_pages_are_processes_of_their_own_and_tell_what_failed(
    nursery: Nursery, tmp_path: Path
) -> None:
    code = """
import atexit, os, sys
from pathlib import Path
print(__name__, Path.cwd(), "torch" in sys.modules, sys.modules["__main__"].__dict__ is globals())
print([name for name in sys.modules if name.startswith("napari_histodiff.")])
print(hasattr(os, "mark"), len(os.listdir("/proc/self/task")))
os.mark = 1
atexit.register(print, "ended")
"""
    ours = ["napari_histodiff.core", "napari_histodiff.core.torch_start"]
    lines = [f"__main__ {tmp_path} True True", str(ours), "False 1", "ended"]
    for _ in range(2):
        assert nursery.run(code, tmp_path) == (0, "\n".join([*lines, ""]))
    status, told = nursery.run("import sys\nassert sys.flags.isolated, 'no luck'", tmp_path)
    assert status == 1
    assert "line 2" in told
    assert told.endswith("AssertionError: no luck\n")
    assert nursery.run("raise SystemExit(3)", tmp_path)[0] == 3


def test_every_marked_block_is_found() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        assert text.count("<!-- run -->") == len(RUN.findall(text)), page.name


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.name)
@pytest.mark.timeout(400)
def test_a_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    # In a process of its own: jupyter's loop and warnings are not ours to judge. Without napari's
    # interactive Qt loop in the kernel, which now and then sleeps through the next cell.
    environment = os.environ | {"NAPARI_APPLICATION_IPY_INTERACTIVE": "0"}
    command = "import nbformat, nbclient, sys; nb = nbformat.read(sys.argv[1], 4); "
    command += "nbclient.NotebookClient(nb, timeout=300, kernel_name='python3').execute()"
    run = subprocess.run(
        [sys.executable, "-c", command, str(notebook)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=390,
        check=False,
        env=environment,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_keyboard_page_names_every_command() -> None:
    from napari_histodiff.ui.commands import COMMANDS

    page = (ROOT / "docs" / "keyboard.md").read_text("utf-8")
    rows = [
        f"| {keys} | {command.title} |" if command.key else f"| {command.title} |"
        for command in COMMANDS
        for keys in ["+".join(f"`{part}`" for part in command.key_text.split("+"))]
    ]
    assert [row for row in rows if row not in page] == []


def test_the_page_of_the_command_line_names_every_command() -> None:
    named: set[str] = set()
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    rows = re.findall(r"^\| (`histodiff .*?`) \|", page, re.MULTILINE)
    for row in rows:
        for command in re.findall("`histodiff ([^`]+)`", row):
            first, *more = command.split()
            known = main.commands[first]
            if isinstance(known, click.Group):
                named.update(f"{first} {one}" for one in re.split(r"\\?\|", more[0]))
            else:
                named.add(first)
    assert named == set(_commands(main))


def _commands(group: click.Group) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from (f"{name} {one}" for one in _commands(command))
        else:
            yield name
