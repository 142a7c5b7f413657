"""The exact scores of all queries on any torch device: whole rows of the similarity matrix.

A GPU has products to spare and sorts fast, but hands over single numbers slowly, so the tiles of
`tiles` do not pay there: a block of queries meets the whole gallery, and what its scores need comes
back in one piece. The definitions, the order of the items and the ties are those of `items`.

Legend: Q queries, N gallery items, D dimension, b queries of a block, R relevant items of a query
(at most, in its block), k neighbours that vote, T duplicates.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from dmlbench.evaluate.items import Task
from dmlbench.evaluate.near_ties import NearTies
from dmlbench.evaluate.scores import Ranks, Scores, score

# Of a row: the similarities, and what a sort of them and comparisons with them take.
_BYTES_A_SIMILARITY = 24


def scan(task: Task, knn_k: int, block_bytes: int, device: str) -> Iterator[Scores]:
    """The scores of the queries, some at a time, in their order; Recall@K is exact at any K.

    knn_k: neighbours that vote. block_bytes: memory of the device to use above the gallery, kept
    to unless one query needs more. Raises ValueError on a device that cannot be used here.
    """
    rows = _RowScan(task, knn_k, _usable(device))
    at_once = max(1, block_bytes // (len(task.gallery) * _BYTES_A_SIMILARITY))
    for start in range(0, len(task.query_class), at_once):
        with torch.no_grad(), _full_precision():
            scores = rows.scores(start, min(start + at_once, len(task.query_class)), at_once)
        yield scores


class _RowScan:
    def __init__(self, task: Task, knn_k: int, device: torch.device) -> None:
        self.task, self.knn_k, self.device = task, knn_k, device
        self.gallery = self._on_device() if self._fits() else None
        self.duplicate_columns = self.duplicate_which = self.duplicates = None
        if task.duplicates is not None:
            self.duplicate_columns = torch.from_numpy(task.duplicates.columns).to(device)  # (T,)
            self.duplicate_which = torch.from_numpy(task.duplicates.which).to(device)  # (T,)
            self.duplicates = torch.from_numpy(task.duplicates.embeddings).to(device)

    def scores(self, start: int, stop: int, at_once: int) -> Scores:
        """Of the queries start to stop."""
        task = self.task
        classes = task.query_class[start:stop]
        similarities = self._similarities(np.arange(start, stop))  # (b, N)
        relevant = self._take_relevant(similarities, classes)  # (b, R)
        ties = NearTies(task, start, stop)
        above = self._above(similarities, relevant).cpu().numpy()
        self._count_ties(similarities, relevant, above, ties)
        nearest, columns = _largest(similarities, self.knn_k)
        return score(
            Ranks(
                relevant.cpu().numpy(),
                task.num_relevant[start:stop],
                above,
                nearest.cpu().numpy(),
                columns.cpu().numpy(),
            ),
            classes,
            task.gallery_class,
            len(task.gallery) - task.self_retrieval,
            ties,
            lambda some: self._similarities(start + some).cpu().numpy(),
            at_once,
        )

    def _take_relevant(self, similarities: Tensor, classes: np.ndarray) -> Tensor:
        """The relevant similarities (b, R), descending, padded with −inf; −inf in their place."""
        starts, stops = self.task.starts[classes], self.task.starts[classes + 1]
        columns = starts[:, None] + np.arange((stops - starts).max())
        outside = torch.from_numpy(columns >= stops[:, None]).to(self.device)
        columns = np.where(columns < stops[:, None], columns, starts[:, None])
        places = torch.from_numpy(columns).to(self.device)
        relevant = similarities.gather(1, places).masked_fill_(outside, -torch.inf)
        similarities.scatter_(1, places, -torch.inf)
        relevant = relevant.sort(dim=1, descending=True).values
        # The query itself is −inf, and comes last.
        return relevant[:, : relevant.shape[1] - self.task.self_retrieval].contiguous()

    def _above(self, similarities: Tensor, relevant: Tensor) -> Tensor:
        """How many of the similarities (b, N) are at least as large as each of `relevant` (b, R).

        Exact up to max(R, k), all that MAP@R, R-Precision and the vote ask for, where a larger
        count is given as max(R, k); for the first relevant item exact at any K.
        """
        most = max(relevant.shape[1], self.knn_k)
        nearest = _largest(similarities, most)[0].flip(1).contiguous()  # ascending
        above = most - torch.searchsorted(nearest, relevant.contiguous())
        above[:, 0] = (similarities >= relevant[:, :1]).sum(dim=1)
        return above

    def _count_ties(
        self, similarities: Tensor, relevant: Tensor, above: np.ndarray, ties: NearTies
    ) -> None:
        """Count in `above` (b, R) the items that tie with a relevant one and seem less similar."""
        on_host = relevant.cpu().numpy()
        reach = on_host - ties.window(np.arange(len(on_host))[:, None], on_host)  # (b, R)
        ascending = similarities.sort(dim=1).values
        counts = torch.searchsorted(ascending, relevant)
        near_too = torch.searchsorted(ascending, torch.from_numpy(reach).to(self.device))
        for row in (counts != near_too).any(dim=1).nonzero()[:, 0].tolist():
            values, mine = similarities[row].cpu().numpy(), -on_host[row]
            places = np.searchsorted(mine, -values, side="left")  # relevant items above each
            near = np.flatnonzero((places > 0) & (values >= reach[row, np.maximum(places - 1, 0)]))
            settled = ties.places(np.full(len(near), row), near, values[near], places[near])
            for before, after in zip(places[near], settled, strict=True):
                above[row, after:before] += 1

    def _similarities(self, queries: np.ndarray) -> Tensor:
        """The similarities (n, N) of queries (n,) to every item, −inf to themselves."""
        task = self.task
        rows = torch.from_numpy(task.queries.take(queries)).to(self.device)
        out = torch.empty(len(queries), len(task.gallery), dtype=rows.dtype, device=self.device)
        if self.gallery is not None:
            torch.matmul(rows, self.gallery.T, out=out)
        else:
            for start, stop in task.gallery.chunks():
                chunk = torch.from_numpy(task.gallery.block(start, stop)).to(self.device)
                out[:, start:stop] = rows @ chunk.T
        if self.duplicates is not None:
            out[:, self.duplicate_columns] = (rows @ self.duplicates.T)[:, self.duplicate_which]
        if task.self_retrieval:
            places = torch.from_numpy(queries).to(self.device)
            out[torch.arange(len(queries), device=self.device), places] = -torch.inf
        return out

    def _fits(self) -> bool:
        """Whether the gallery may stay on the device; else it passes through, chunk by chunk."""
        if not self.task.gallery.resident:
            return False
        if self.device.type != "cuda":
            return True
        free, _ = torch.cuda.mem_get_info(self.device)
        return self.task.gallery.num_bytes <= free // 2

    def _on_device(self) -> Tensor:
        items = self.task.gallery
        return torch.cat(
            [torch.from_numpy(items.block(*chunk)).to(self.device) for chunk in items.chunks()]
        )


def _usable(device: str) -> torch.device:
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device is {device!r}, which cannot be used here: {error}. Try device='cpu'."
        ) from error


def _largest(similarities: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The largest of each row (b, N), descending, and their columns, both (b, k).

    A row of fewer is padded with −inf.
    """
    values, columns = similarities.topk(min(k, similarities.shape[1]), dim=1)
    missing = k - values.shape[1]
    if missing:
        values = torch.nn.functional.pad(values, (0, missing), value=-torch.inf)
        columns = torch.nn.functional.pad(columns, (0, missing))
    return values, columns


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """No TF32: its ten bits of mantissa would make neighbours equal that are not."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
