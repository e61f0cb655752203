"""Backups of states: the file, and the way out of Redis and back."""
