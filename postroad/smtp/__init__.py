"""The client half of RFC 5321; knows no queue, no DNS, no Gmail."""
