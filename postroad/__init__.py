"""Postroad: Google's users.messages.send, self-hosted."""
