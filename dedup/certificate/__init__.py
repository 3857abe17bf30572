"""What was written, read back and searched again."""
