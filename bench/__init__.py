"""How fast Postroad is, beside Postfix on the same machine (`scripts/bench`, docs/performance.md)."""
