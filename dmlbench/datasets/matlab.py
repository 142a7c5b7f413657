"""The .mat files that hold the labels of some sets: read as they are, with clear errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dmlbench.data.images import DatasetError


def read_mat(name: str, file: Path, variable: str) -> np.ndarray:
    """Return a variable of a MATLAB file, its dimensions of length 1 taken away.

    name: of the dataset, for messages.
    Raises `DatasetError` where the file cannot be read or lacks the variable.
    """
    from scipy.io import loadmat

    try:
        values = loadmat(str(file), squeeze_me=True, variable_names=[variable])
    except Exception as error:  # damaged files make the reader raise nearly anything
        raise DatasetError(
            f"{name}: {file} cannot be read as a MATLAB file "
            f"({' '.join(str(error).split()) or type(error).__name__}). Get it again."
        ) from error
    if variable not in values:
        raise DatasetError(
            f"{name}: {file} holds no variable {variable!r}; it is not the file of this dataset."
        )
    return np.atleast_1d(values[variable])


def read_fields(name: str, file: Path, variable: str, *fields: str) -> list[tuple[Any, ...]]:
    """Return, for each element of a struct array, the values of `fields`.

    Raises `DatasetError` where there is no such array, or a field is missing.
    """
    array = read_mat(name, file, variable)
    missing = [field for field in fields if field not in (array.dtype.names or ())]
    if missing:
        raise DatasetError(
            f"{name}: {variable} in {file} has no field {', '.join(missing)}. It has: "
            f"{', '.join(array.dtype.names or ()) or 'none'}."
        )
    columns = [[_plain(value) for value in array[field].tolist()] for field in fields]
    return list(zip(*columns, strict=True))


def _plain(value: Any) -> Any:
    """Numbers come as arrays of one element, and as floats, where MATLAB wrote them so."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    elif isinstance(value, np.generic):
        value = value.item()
    return int(value) if isinstance(value, float) and value.is_integer() else value
