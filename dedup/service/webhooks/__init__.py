"""Webhooks: what is told to whom, signed, and sent to addresses that were checked."""
