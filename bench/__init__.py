"""The benchmark: `make bench` measures a real server against its targets and writes RESULTS.md. It needs Linux."""
