"""Runs on clusters of several nodes on this machine; they need Ray, the extra `ray`."""
