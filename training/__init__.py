"""Makes checkpoints: networks, losses, data and the training loop of every family."""
