import json
import re
from pathlib import Path

from storage.records import Aspect

KEYS = (Path(__file__).parents[3] / "app" / "static" / "keys.js").read_text()


def answer_keys():
    block = re.search(r"ANSWER_KEYS = \{(.*?)\n\};", KEYS, re.DOTALL).group(1)
    return {name: json.loads(codes) for name, codes in re.findall(r"(\w+): (\[[^\]]*\])", block)}


def command_keys():
    block = re.search(r"COMMAND_KEYS = \{(.*?)\n\};", KEYS, re.DOTALL).group(1)
    return re.findall(r"^  (\w+): \{ command: \"(\w+)\"", block, re.MULTILINE)


def test_gives_every_aspect_four_keys():
    assert set(answer_keys()) == set(Aspect)
    assert all(len(codes) == 4 for codes in answer_keys().values())


def test_gives_no_key_two_meanings():
    codes = [code for row in answer_keys().values() for code in row] + [code for code, _ in command_keys()]

    assert len(codes) == 16 + len(command_keys()) >= 25
    assert len(codes) == len(set(codes))


def test_gives_no_command_two_keys():
    commands = [command for _, command in command_keys()]

    assert len(commands) == len(set(commands))
