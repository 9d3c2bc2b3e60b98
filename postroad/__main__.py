"""`python -m postroad` is the `postroad` command."""

from postroad.cli import main

main()
