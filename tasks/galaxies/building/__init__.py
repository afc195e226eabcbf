"""Building a dataset of galaxies: the request, the plan, collecting images, the harvest, other class schemes."""
