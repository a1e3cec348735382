"""Guides go stale when nothing reads them: every path, command and flag they name must exist."""

import re
from pathlib import Path

import click
import pytest
import typer

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
TOP_LEVEL = {path.name for path in ROOT.iterdir()} - {".venv"}


def commands() -> dict[str, click.Command]:
    """Return every command by its words, such as `import fetv`."""
    from app.cli import app

    found: dict[str, click.Command] = {}

    def walk(command: click.Command, words: tuple[str, ...]) -> None:
        children = getattr(command, "commands", None)
        if children is None:
            found[" ".join(words)] = command
        for name, child in (children or {}).items():
            walk(child, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def code_spans(text: str) -> list[str]:
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, flags=re.S)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    return [line for block in blocks for line in block.splitlines()] + inline


def test_every_command_has_help_and_an_example() -> None:
    for words, command in commands().items():
        assert command.help, f"vidpref {words} has no help"
        assert command.epilog and "vidpref" in command.epilog, f"vidpref {words} shows no example"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_guide_names_only_paths_that_exist(guide: Path) -> None:
    for span in code_spans(guide.read_text()):
        for path in re.findall(r"(?<![\w/.-])((?:[\w.-]+/)+[\w.-]*)", span):
            if path.split("/")[0] in TOP_LEVEL and not re.search(r"[<{*]", path):
                assert (ROOT / path).exists(), f"{guide.name} names {path}"


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_guide_names_only_commands_and_flags_that_exist(guide: Path) -> None:
    known = commands()
    for span in code_spans(guide.read_text()):
        for line in re.findall(r"(?:(?<![\w./-])|\.venv/bin/)vidpref ([a-z][^|;&#]*)", span):
            words = line.split()
            name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in known), None)
            if name is None:
                groups = {other.split()[0] for other in known if " " in other}
                assert words[0] in groups and len(words) == 1, f"{guide.name}: no command `vidpref {line}`"
                continue
            options = {flag for p in known[name].params for flag in (*p.opts, *p.secondary_opts)}
            for flag in re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", line):
                assert flag in options | {"--help"}, f"{guide.name}: `vidpref {name}` has no {flag}"


def test_readme_names_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for guide in GUIDES:
        for target in re.findall(r"\bmake ([a-z0-9]+)\b", "\n".join(code_spans(guide.read_text()))):
            assert re.search(rf"^{target}:", makefile, flags=re.M), f"{guide.name} names make {target}"
