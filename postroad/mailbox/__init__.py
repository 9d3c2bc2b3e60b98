"""What an account can read back. Knows no queue and no HTTP."""
