"""Numbers in; means, intervals and tests out."""
