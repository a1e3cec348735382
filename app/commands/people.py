"""`vidpref users ...`: accounts and tokens."""

import sys
from typing import Annotated

import typer

from app.accounts import add_user, create_token
from app.commands.options import DEFAULT_WORKSPACE, WorkspaceOption, opened
from storage.raters import list_accounts
from storage.records import Role

users = typer.Typer(no_args_is_help=True, help="Accounts: add, list, token.")

EXAMPLE_ADD = "Example: printf '%s' \"$PASSWORD\" | vidpref users add ana --role annotator --password-stdin"


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(users, name="users")


@users.command("add", epilog=EXAMPLE_ADD)
def users_add(
    name: str,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    role: Annotated[Role, typer.Option(help="What the account may do.")] = Role.ANNOTATOR,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Add an account. Without --password-stdin the password is asked for on the terminal."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    with opened(workspace) as store:
        add_user(store, name=name, role=role, password=password)
    typer.echo(f"added {name} ({role})")


@users.command("list", epilog="Example: vidpref users list")
def users_list(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """List the accounts."""
    with opened(workspace) as store:
        for account in list_accounts(store):
            state = "disabled" if account.disabled else "active"
            typer.echo(f"{account.name}\t{account.role}\t{state}")


@users.command("token", epilog="Example: vidpref users token ana")
def users_token(name: str, workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Make an API token for an account and print it once; send it as `Authorization: Bearer TOKEN`."""
    with opened(workspace) as store:
        typer.echo(create_token(store, name=name))
