"""The version of the preprocessing inside a saved galaxy model, known without loading Keras.

It changes with the cut of the centre, the resizing, the scaling or the symmetries that `galaxy.models.networks` builds
in.
"""

PREPROCESSING_VERSION = "galaxy-1"
