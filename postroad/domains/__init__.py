"""Sending domains: their DKIM keys, what to publish about them in the DNS, and whether it is there."""
