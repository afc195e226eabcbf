"""Studies of galaxy classifiers: ways to train, compared on the same galaxies."""
