"""What a workspace's `config.toml` may say, checked; every value has its default here and nowhere else."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

TEMPLATE = """# vidpref: settings of this workspace. Every line may be left out; shown are the defaults.

[server]
# host = "127.0.0.1"
# port = 7860
# lease_minutes = 10.0      # how long a pair stays with one annotator without a sign of life
# session_hours = 72.0
# max_login_failures = 5    # then that account is locked for that address, for lockout_minutes
# lockout_minutes = 5.0
# secure_cookies = false    # true behind HTTPS
"""


class ConfigError(ValueError):
    """A setting is unknown or out of its range; the message names file, key, value and what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """How the workspace is served."""

    host: str = "127.0.0.1"
    port: int = 7860
    """0 picks a free port."""
    lease_minutes: float = 10.0
    """How long a pair stays with one annotator without a heartbeat."""
    session_hours: float = 72.0
    max_login_failures: int = 5
    """Failed log-ins before an account is locked, for the address they came from, for a while."""
    lockout_minutes: float = 5.0
    secure_cookies: bool = False
    """Send cookies over HTTPS only."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port is {self.port}; it must be 0 (any free port) to 65535")
        for name in ("lease_minutes", "session_hours", "max_login_failures", "lockout_minutes"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be greater than 0")


def load_server_config(path: Path, **overrides: Any) -> ServerConfig:
    """Read the `[server]` table of a config file; `overrides` that are not None win over the file.

    Raises:
        ConfigError: The file is not TOML, or holds an unknown key, a wrong type or a value out of range.
    """
    table: Any = {}
    if path.exists():
        try:
            table = tomllib.loads(path.read_text()).get("server", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: server is {table!r}; a table is needed: [server] with settings under it")
    known = {f.name: f.type for f in fields(ServerConfig)}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(
                f"{path}: [server] {key} is not a setting; known ones are {', '.join(sorted(known))}"
            )
        expected = type(getattr(ServerConfig(), key))
        if not isinstance(value, expected) and not (expected is float and isinstance(value, int)):
            raise ConfigError(f"{path}: [server] {key} is {value!r}; a {expected.__name__} is needed")
    table |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return ServerConfig(**table)
    except ConfigError as error:
        raise ConfigError(f"{path}: [server] {error}") from error
