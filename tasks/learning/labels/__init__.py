"""Labels that may be wrong: which rows are suspect, which to review first, and versions with changed labels."""
