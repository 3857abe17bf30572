"""What docs/adding.md adds from outside the package, as somebody else's modules would."""
