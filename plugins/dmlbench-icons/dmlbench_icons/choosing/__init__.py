"""How the list of classes was made: names merged, ambiguous ones and copies left out.

``python -m dmlbench_icons.choosing`` makes ``classes.txt`` and ``copies.txt`` again from the
packages and the three tables beside this file. Nothing here runs when the dataset is loaded.
"""
