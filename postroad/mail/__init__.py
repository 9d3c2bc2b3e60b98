"""Words of the field: frozen values and formats. Knows no I/O, no clock, no database."""
