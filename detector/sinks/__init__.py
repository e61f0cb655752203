"""How what Detector says leaves it. One form of message a file."""
