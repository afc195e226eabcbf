"""What flows are made of: Prefect stages in `stages` over plain functions, a folder for each subject.

The levels of the folders, and that galaxies and candidates are independent, are import contracts of pyproject.toml.
"""
