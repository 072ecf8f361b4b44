"""A run of training: its folder, epochs, checkpoints, models, records."""
