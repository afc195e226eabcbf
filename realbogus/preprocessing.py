"""The version of all that a saved model does to stored triplets before its network, known without loading Keras.

It changes with the rule for missing values, the normalisations (`realbogus.layers`) or the order of channels, so that a
model of another version is refused by name and not run on what it was not trained on.
"""

PREPROCESSING_VERSION = "realbogus-1"
PROBLEM = "realbogus"
