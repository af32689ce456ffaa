"""Everything that needs PyTorch, and nothing outside this package does: data, networks, weights, training."""
