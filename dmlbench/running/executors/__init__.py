"""Where trials run. An executor takes jobs and yields what happens to them."""
