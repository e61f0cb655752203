"""What a pipeline imports: may it go on, and what it tells of itself. Light: neither numpy nor the daemon is needed."""
