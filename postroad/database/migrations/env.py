"""Alembic's entry: runs the steps on the connection that `upgrade` opened."""

from alembic import context

from postroad.database.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
