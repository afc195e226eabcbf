"""Is tonight like the quiet nights before it? Features of its samples, rates of its counts, the share of positives."""
