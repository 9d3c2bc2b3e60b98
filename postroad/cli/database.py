"""`postroad migrate` and `postroad backup`: the database as a whole."""

from pathlib import Path
from typing import Any

import click

from postroad.cli import options


@click.command()
@options.settings(*options.EVERYWHERE)
def migrate(**values: Any) -> None:
    """Bring the database to the newest schema; nodes of the version before go on with it."""
    click.echo(f"the schema is at step {options.order('migrate', values)}")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@options.settings(*options.EVERYWHERE)
def backup(file: Path, **values: Any) -> None:
    """Copy the SQLite database to FILE, beside a running server; FILE must not exist."""
    from postroad.database.backup import BackupError  # noqa: PLC0415 - what a server needs is loaded by who needs it
    from postroad.database.backup import backup as copy  # noqa: PLC0415
    from postroad.sealing import FILE as KEY_FILE  # noqa: PLC0415
    from postroad.terminal import progress  # noqa: PLC0415

    settings = options.heeded(options.split(values)[0])
    if settings.database:
        raise BackupError("a PostgreSQL database is backed up by pg_dump or continuous archiving, not by this")
    with progress("backing up") as tell:
        octets = copy(settings.folder, file, tell)
    click.echo(f"backed up to {file}, {octets} octets, checked")
    if (key := settings.folder / KEY_FILE).exists():
        click.echo(f"it is of use only with {key}: keep a copy of that, too, in another place")
