"""The only package that knows SQL. Others see `store.port`; main chooses the engine."""
