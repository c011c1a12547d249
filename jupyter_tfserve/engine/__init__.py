"""The engine's process: its composition root, control API, connection file, and those who start and call it."""
