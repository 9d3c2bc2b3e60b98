"""The `postroad` command: parse, call, print. Exit codes: 0 done, 1 refused or failed, 2 usage."""

import sys

import click
from click.exceptions import NoArgsIsHelpError

from postroad.cli.accounts import account
from postroad.cli.clients import client
from postroad.cli.credentials import credentials, token
from postroad.cli.database import backup, migrate
from postroad.cli.domains import domain
from postroad.cli.queue import queue
from postroad.cli.service_accounts import service_account
from postroad.cli.serving import dev, serve
from postroad.refusals import Failure, Refusal
from postroad.settings import SettingError


def main() -> None:
    """Run the command line; a refusal or failure is one clear line on stderr."""
    try:
        cli(prog_name="postroad", standalone_mode=False)
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "postroad"
        _complain(f"{error.format_message().rstrip('.')}; see {command} --help", error.exit_code)
    except SettingError as error:
        _complain(error, 2)
    except OSError as error:
        _complain(error, 1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Failure as error:
        _complain(error, 1)
    except Refusal as error:
        _complain(error.why, 1)


def _complain(error: object, code: int) -> None:
    click.echo(f"postroad: {error}", err=True)
    sys.exit(code)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="postroad")
def cli() -> None:
    """Google's users.messages.send, self-hosted.

    `postroad dev` is a sandbox that captures mail; `postroad serve` sends it.
    """


for command in (dev, serve, account, client, service_account, token, credentials, domain, queue, backup, migrate):
    cli.add_command(command)
