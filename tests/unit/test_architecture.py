"""The packages' borders, read from the imports: app -> training -> annotation -> storage."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("app", "annotation", "training", "storage")
MAY_IMPORT = {
    "storage": {"storage"},
    "annotation": {"annotation", "storage"},
    "training": {"training", "annotation", "storage"},
    "app": {"app", "training", "annotation", "storage"},
}
ONLY_HOME = {
    "duckdb": "storage",
    "av": "storage",
    "imageio": "storage",
    "pyarrow": "storage",
    "gradio": "app",
    "fastapi": "app",
    "starlette": "app",
    "typer": "app",
    "uvicorn": "app",
    "diffusers": "training",
    "peft": "training",
    "accelerate": "training",
}
TRAINING_MAY_READ = {"storage.records", "storage.export_reader", "storage.clips", "storage.errors"}
WITHOUT_DUCKDB = ("records", "export_reader", "clips", "errors")


def module_files(package: str) -> Iterator[Path]:
    return (ROOT / package).rglob("*.py")


def imported_names(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Return the dotted names a file imports; `from a import b` counts as `a` and `a.b`."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the border they cross"
            assert node.module is not None
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_package_imports_only_what_lies_below_it(package: str) -> None:
    for path in module_files(package):
        breaches = (roots(imported_names(path)) & set(PACKAGES)) - MAY_IMPORT[package]
        assert not breaches, f"{path.relative_to(ROOT)} imports {sorted(breaches)}"


@pytest.mark.parametrize("library", sorted(ONLY_HOME))
def test_library_is_imported_in_its_only_home(library: str) -> None:
    homes = {
        path.relative_to(ROOT).parts[0]
        for package in PACKAGES
        for path in module_files(package)
        if library in roots(imported_names(path))
    }
    assert homes <= {ONLY_HOME[library]}


def test_training_reads_exports_and_never_the_live_database() -> None:
    for path in module_files("training"):
        modules = {name for name in imported_names(path) if name.startswith("storage")}
        allowed = {
            name for name in modules if any(f"{name}.".startswith(f"{ok}.") for ok in TRAINING_MAY_READ)
        }
        assert modules - allowed <= {"storage"}, f"{path.relative_to(ROOT)}: {sorted(modules - allowed)}"


@pytest.mark.parametrize("module", WITHOUT_DUCKDB)
def test_modules_that_training_reads_do_not_import_duckdb(module: str) -> None:
    seen: set[str] = set()
    queue = [f"storage.{module}"]
    while queue:
        name = queue.pop()
        path = ROOT / (name.replace(".", "/") + ".py")
        if name in seen or not path.exists():
            continue
        seen.add(name)
        names = imported_names(path)
        assert "duckdb" not in roots(names), f"{name} imports duckdb"
        queue.extend(other for other in names if other.startswith("storage."))


def test_the_judge_never_sees_the_measuring_program() -> None:
    for package in ("annotation", "storage"):
        for path in module_files(package):
            assert (
                "measure" not in path.read_text().split("import ")[-1].split("\n")[0]
                or package != "annotation"
            )
            seen = {name for name in imported_names(path) if "tiny.measure" in name or "tiny.segment" in name}
            assert not seen, f"{path.relative_to(ROOT)} imports {sorted(seen)}"


def test_server_modules_do_not_import_torch_at_start() -> None:
    heavy = {"torch", "transformers", "diffusers", "peft", "accelerate", "training"}
    for package in ("app", "annotation", "storage"):
        for path in module_files(package):
            if path.name in {"critic.py"} and package == "annotation":
                continue
            found = roots(imported_names(path, top_level_only=True)) & heavy
            light = {"training"} if _imports_only_light_training(path) else set()
            assert not found - light, f"{path.relative_to(ROOT)} imports {sorted(found)} at start"


def _imports_only_light_training(path: Path) -> bool:
    """Names, folders and the measuring program of the tiny world need no torch; `app` may import them."""
    names = {name for name in imported_names(path, top_level_only=True) if name.startswith("training.")}
    light = ("training.tiny.prompts.", "training.tiny.measure.")
    return all(name == "training.tiny" or f"{name}.".startswith(light) for name in names)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_init_is_empty(package: str) -> None:
    for path in (ROOT / package).rglob("__init__.py"):
        if path.relative_to(ROOT).as_posix() == "training/tiny/__init__.py":
            continue
        assert path.read_text().strip() == "", f"{path.relative_to(ROOT)} must stay empty"


def test_every_package_folder_is_named_in_pyproject() -> None:
    import tomllib

    named = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for init in (ROOT / package).rglob("__init__.py")
    }
    assert named == found
