"""What an import may pull in, seen from a fresh interpreter."""

from __future__ import annotations

import ast
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import napari_histodiff

ROOT = Path(__file__).resolve().parent.parent

REPORT = """
import importlib, json, sys
before = set(sys.modules)
for name in {names!r}:
    importlib.import_module(name)
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def modules_under(package: str) -> list[str]:
    """Every module of a package of ours, found without importing it."""
    path = [f"{folder}/{package}" for folder in napari_histodiff.__path__]
    return [info.name for info in pkgutil.walk_packages(path, f"napari_histodiff.{package}.")]


def pulled_in_by(*names: str) -> set[str]:
    """Top-level packages that a fresh interpreter holds only after importing `names`."""
    run = subprocess.run(
        [sys.executable, "-c", REPORT.format(names=names)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_importing_the_package_stays_light() -> None:
    heavy = {"torch", "diffusers", "napari", "qtpy", "PyQt6", "PySide6", "distributed"}
    assert not pulled_in_by("napari_histodiff") & heavy


def test_core_needs_numpy_only() -> None:
    foreign = pulled_in_by(*modules_under("core")) - set(sys.stdlib_module_names)
    assert foreign == {"napari_histodiff", "numpy"}


@pytest.mark.parametrize("package", ["engine", "slide", "ui"])
def test_torch_stays_out_of_the_gui_process(package: str) -> None:
    names = modules_under(package)
    assert names
    assert not pulled_in_by(*names) & {"torch", "diffusers"}


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {canonical(requirement) for requirements in lists for requirement in requirements}
    distributions = packages_distributions()
    undeclared = {
        name
        for name in imported_packages() - set(sys.stdlib_module_names) - {"napari_histodiff"}
        if not {canonical(found) for found in distributions.get(name, [name])} & declared
    }
    assert undeclared == set()


def canonical(requirement: str) -> str:
    """Name of a requirement as packages are compared: lower case, with dashes."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()


def imported_packages() -> set[str]:
    """Top-level packages that our sources import anywhere, functions included."""
    modules: set[str] = set()
    for file in (ROOT / "napari_histodiff").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module)
    return {module.partition(".")[0] for module in modules}
