"""Building a dataset of candidates: the request, its batches, the plan, collecting triplets, the harvest."""
