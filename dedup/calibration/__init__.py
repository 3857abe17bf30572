"""What each distance would let in on this dataset."""
