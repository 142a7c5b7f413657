"""Tables of embeddings: CSV and parquet files, and which of their columns are the embedding.

Legend: N rows, D dimension.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dmlbench.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: Path, label_column: str) -> pd.DataFrame:
    """A CSV or parquet file, its labels as text where it is CSV. Raises `UsageError`."""
    import pandas as pd

    try:
        if path.suffix.lower() == ".csv":
            # A class may be called NA, and 007 is another one than 7.
            text = {label_column: str}
            return pd.read_csv(path, dtype=text, keep_default_na=False, skipinitialspace=True)
        return pd.read_parquet(path)
    except ImportError as error:
        raise UsageError(
            f"{path}: reading parquet needs pyarrow: pip install 'dmlbench[parquet]'."
        ) from error
    except (ValueError, OSError) as error:
        kind = "CSV" if path.suffix.lower() == ".csv" else "parquet"
        raise UsageError(f"{path} is not a {kind} file that can be read: {error}.") from error


def numbered_column(name: str) -> re.Match[str] | None:
    """A column's name apart, prefix and number, where it ends in one."""
    return re.fullmatch(r"(.*?)([0-9]{1,6})", name)


def dimensions(columns: Sequence[str], path: Path) -> list[str]:
    """The columns of the embedding, in order: a common prefix and all numbers from 0 or 1 on.

    Raises `UsageError` for other numbered columns beside them, and for a number that is missing.
    """
    families: dict[str, dict[int, str]] = {}
    for name in columns:
        match = numbered_column(name)
        if match:
            family = families.setdefault(match[1], {})
            if int(match[2]) in family:
                raise UsageError(f"{path}: the columns {family[int(match[2])]} and {name} clash.")
            family[int(match[2])] = name
    if len(families) != 1:
        named = ", ".join(f"{prefix}{min(found)}, ..." for prefix, found in families.items())
        raise UsageError(
            f"{path}: the columns of the embedding must be numbered, such as e0, e1, e2, and no "
            f"others; {'these are: ' + named if families else 'none is'}. The first row must name "
            f"the columns."
        )
    (family,) = families.values()
    numbers = sorted(family)
    if numbers[0] not in (0, 1) or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        gap = next(n for n in itertools.count(min(numbers[0], 1)) if n not in family)
        raise UsageError(
            f"{path}: of the columns {family[numbers[0]]}, ... number {gap} is missing."
        )
    return [family[number] for number in numbers]


def columns_of(table: pd.DataFrame, names: Sequence[str], path: Path) -> np.ndarray:
    """The columns (N, D) as numbers. Raises `UsageError` for a value that is not a number."""
    import pandas as pd

    for name in names:
        if not pd.api.types.is_numeric_dtype(table[name]):
            numbers = pd.to_numeric(table[name], errors="coerce")
            row = int(np.flatnonzero(numbers.isna())[0]) if numbers.isna().any() else 0
            raise UsageError(
                f"{path}: the column {name} holds {table[name].iloc[row]!r} in row {row} (the "
                f"first is 0); a dimension must hold numbers."
            )
    return table[list(names)].to_numpy()


def stacked(column: pd.Series, path: Path) -> np.ndarray:
    """A column of lists as (N, D). Raises `UsageError` where their lengths differ."""
    try:
        return np.stack([np.asarray(row) for row in column])
    except ValueError as error:
        raise UsageError(
            f"{path}: the column embedding must hold lists of one length: {error}."
        ) from error


def no_column(path: Path, table: pd.DataFrame, label_column: str) -> str:
    """The message that a table lacks its column of labels."""
    names = [str(name) for name in table.columns]
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return (
        f"{path} has no column {label_column}; it has {shown}. The first row must name the "
        f"columns; name another one with --label-column."
    )
