"""Keeps accepted mail until every recipient's fate is known. Knows no SMTP and no Gmail."""
