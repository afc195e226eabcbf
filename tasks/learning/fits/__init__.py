"""Fitting a Keras network: batches of augmented views, optimisers, devices, the epoch loop, checkpoints."""
