"""The one place that stores anything: engines, the schema, group commit. Knows no mail rules."""
