"""What is decided of pairs and samples: rules over tables, no pixels."""
