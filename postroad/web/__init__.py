"""HTTP in, HTTP out; translates, never decides."""
