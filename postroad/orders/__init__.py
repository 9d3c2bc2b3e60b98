"""What the command line can order: each a function on a connection, its arguments and result plain JSON."""
