"""Download, unpack and verify the published datasets."""
