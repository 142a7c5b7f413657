"""Pictograms of many icon sets, as a dataset of dmlbench."""
