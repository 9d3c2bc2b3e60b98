"""One delivery attempt to one destination. Knows no queue and no Gmail."""
