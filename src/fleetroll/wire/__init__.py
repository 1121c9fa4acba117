"""The HTTP kernel: one handler that serves every row of every dialect, and knows no vendor."""
