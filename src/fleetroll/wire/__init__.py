"""The HTTP server, and one handler for every row of every dialect, over HTTP or the broker; it knows no vendor."""
