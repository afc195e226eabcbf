"""Real/bogus classification of transients. Nothing is here yet that a flow can run."""
