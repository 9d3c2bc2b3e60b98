"""The command line's way to the database: through the running server's socket, or alone under the lock.

One process writes the file (DESIGN.md section 5). Commands beside a server ask it over `control.sock` (mode
0600) in one line of JSON and take effect at once; without a server they hold the lock themselves. A command that
is answered by a server loads nothing of what the server needs for the answer.
"""
