"""The exact scores of all queries on any torch device: whole rows of the similarity matrix.

A GPU has products to spare, but hands over single numbers slowly, so the tiles of `tiles` do not
pay there, nor does half of the matrix: a block of queries meets the whole gallery, and ranks and
scores are computed where the similarities are. No block waits for another: what all of them found
comes back at the end, in one piece. The few queries for which rounding may have parted a tie are
marked on the way and looked at again (`recheck`). The definitions, the order of the items and the
ties are those of `items`.

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
from dmlbench.evaluate.near_ties import lengths_of, lifted_window, rounding
from dmlbench.evaluate.recheck import Found, recheck
from dmlbench.evaluate.scores import Scores

# Without a number from the caller: as on the CPU, or of what is free on CUDA.
_BLOCK_BYTES, _SHARE_OF_FREE, _MOST_BYTES = 2**28, 4, 2**33


def scan(
    task: Task, max_k: int, knn_k: int, block_bytes: int | None, device: str
) -> Iterator[Scores]:
    """The scores of the queries, in their order.

    max_k: the largest K of Recall@K. knn_k: neighbours that vote. block_bytes: memory of the device
    to use above the gallery, kept to unless one query needs more; None: by what is free.
    Raises ValueError on a device that cannot be used here.
    """
    with torch.no_grad(), _full_precision():
        rows = _RowScan(task, max_k, knn_k, block_bytes, _usable(device))
        yield rows.scores()


class _RowScan:
    def __init__(
        self, task: Task, max_k: int, knn_k: int, block_bytes: int | None, device: torch.device
    ) -> None:
        self.task, self.max_k, self.knn_k, self.device = task, max_k, knn_k, device
        self.gallery = self._on_device() if self._fits() else None
        self.duplicate_columns = self.duplicate_which = self.duplicates = None
        if task.duplicates is not None:
            self.duplicate_columns = torch.from_numpy(task.duplicates.columns).to(device)  # (T,)
            self.duplicate_which = torch.from_numpy(task.duplicates.which).to(device)  # (T,)
            self.duplicates = torch.from_numpy(task.duplicates.embeddings).to(device)
        self.num_relevant = torch.from_numpy(task.num_relevant).to(device)  # (Q,)
        self.query_class = torch.from_numpy(task.query_class).to(device)  # (Q,)
        self.gallery_class = torch.from_numpy(task.gallery_class).to(device)  # (N,)
        self.starts = torch.from_numpy(task.starts).to(device)  # (C + 1,)
        self.num_others = len(task.gallery) - task.self_retrieval
        self.lengths = None
        if task.lifted:
            lengths = lengths_of(task, np.arange(len(task.query_class)))
            self.lengths = torch.from_numpy(lengths).to(device)  # (Q,)
        self.rounding = rounding(task.gallery.dim, task.gallery.dtype)
        # Apple's devices have no float64: there the last digits of a score may differ.
        self.float = torch.float32 if device.type == "mps" else torch.float64
        self.block_bytes = block_bytes or self._spare_bytes()

    def scores(self) -> Scores:
        """Of all queries."""
        found, unclear = [], []
        for start, stop in self._blocks():
            numbers, again = self._block(start, stop)
            found.append(numbers)
            unclear.append(again)
        # The one wait: everything was queued before.
        floats = torch.cat([part[0] for part in found], dim=1).cpu().numpy()  # (2, Q)
        others = torch.cat([part[1] for part in found], dim=1).cpu().numpy()  # (2, Q)
        scores = Scores(others[0], floats[0], floats[1], others[1] > 0)
        queries = np.flatnonzero(torch.cat(unclear).cpu().numpy())
        for some in self._chunks(queries):
            part = recheck(self.task, self._find_again(some), self.knn_k, self.max_k, self._all)
            for name, values in vars(part).items():
                getattr(scores, name)[some] = values
        return scores

    def _block(self, start: int, stop: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Of the queries start to stop: AP@R and R-Precision, (2, b); misses and votes, (2, b).

        And whether a tie may decide (b,): then these are not to be used.
        """
        queries = torch.arange(start, stop, device=self.device)
        relevant, nearest, columns, above, near = self._ranks(queries, start, stop)
        count = self.num_relevant[start:stop, None]  # (b, 1)
        place = torch.arange(1, relevant.shape[1] + 1, device=self.device)  # (R,)
        rank = place + above
        counted = place <= count
        found = (rank <= count) & counted
        voters = min(self.knn_k, self.num_others)
        votes = ((rank <= voters) & counted).sum(1)  # (b,)
        shares = (found * (place.to(self.float) / rank)).sum(1)
        floats = torch.stack([shares, found.sum(1).to(self.float)]) / count[:, 0]

        # As in `scores._vote`, of every query, where only those that are open need it.
        correct, others = 2 * votes > voters, voters - votes
        is_open = ~correct & (votes > 0) & ((votes > 1) | (above[:, 0] == 0))
        last, after = (
            nearest.gather(1, (others - one).clamp(0, self.knn_k - 1)[:, None])[:, 0]
            for one in (1, 0)
        )
        close = last - after <= self._window(queries, last)
        tied = is_open & after.isfinite() & close
        beaten = self._beaten(columns, votes, others, above[:, :1])
        correct |= is_open & ~beaten

        # A rank that a score asks for, and an item that ties with the relevant one of that rank.
        matters = (rank <= count.clamp_min(self.knn_k)) & counted
        matters[:, 0] |= above[:, 0] < self.max_k
        unclear = tied | (matters & near).any(1)
        return (floats, torch.stack([above[:, 0], correct.long()])), unclear

    def _ranks(
        self, queries: Tensor, start: int, stop: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Relevant similarities (b, R), nearest others and their columns (b, k), ranks, ties.

        The fourth is how many others are at least as similar as each relevant item, (b, R): exact
        up to max(R, k), and for the first one up to max_k. The fifth, (b, R): whether an item may
        tie with it that seems less similar.
        """
        similarities = self._similarities(queries, start, stop)  # (b, N)
        relevant = self._take_relevant(similarities, queries, start, stop)
        most = max(relevant.shape[1], self.knn_k)
        largest, columns = _largest(similarities, most)
        ascending = largest.flip(1).contiguous()
        reach = relevant - self._window(queries[:, None], relevant)
        above = most - torch.searchsorted(ascending, relevant)
        near = most - torch.searchsorted(ascending, reach.contiguous()) > above
        if self.max_k > most:  # the first relevant item may be further down than the list goes
            first = (similarities >= relevant[:, :1]).sum(1)
            above[:, 0] = first
            near[:, 0] = (similarities >= reach[:, :1]).sum(1) > first
        return relevant, largest[:, : self.knn_k], columns[:, : self.knn_k], above, near

    def _take_relevant(
        self, similarities: Tensor, queries: Tensor, start: int, stop: int
    ) -> Tensor:
        """The relevant similarities (b, R), descending, padded with −inf; −inf in their place."""
        # Classes are sorted by size, those of the last query are the largest.
        width = int(self.task.num_relevant[stop - 1]) + self.task.self_retrieval
        classes = self.query_class[queries]
        first, last = self.starts[classes, None], self.starts[classes + 1, None]
        places = first + torch.arange(width, device=self.device)  # (b, R or R + 1)
        outside = places >= last
        places = torch.where(outside, first, places)
        relevant = similarities.gather(1, places).masked_fill_(outside, -torch.inf)
        similarities.scatter_(1, places, -torch.inf)
        relevant = relevant.sort(dim=1, descending=True).values
        # The query itself is −inf, and comes last.
        return relevant[:, : width - self.task.self_retrieval].contiguous()

    def _beaten(self, columns: Tensor, votes: Tensor, others: Tensor, above: Tensor) -> Tensor:
        """Whether a class of the nearest others (b, k) has the vote (b,)."""
        classes = self.gallery_class[columns]  # (b, k)
        places = torch.arange(columns.shape[1], device=self.device)
        voting = places < others[:, None]
        same = (classes[:, :, None] == classes[:, None, :]) & voting[:, None, :]
        theirs = same.sum(2)  # (b, k)
        own = votes[:, None]
        return (voting & ((theirs > own) | ((theirs == own) & (places < above)))).any(1)

    def _window(self, queries: Tensor, values: Tensor) -> Tensor | float:
        """As `NearTies.window`: queries (b,) or (b, 1), values (b,) or (b, R)."""
        if self.lengths is None:
            return self.rounding
        return lifted_window(self.lengths[queries], values, self.rounding)

    def _find_again(self, queries: np.ndarray) -> Found:
        """Ranks of a few queries (n,), and the items that may tie with their relevant ones."""
        there = torch.from_numpy(queries).to(self.device)
        start, stop = int(queries[0]), int(queries[-1]) + 1
        similarities = self._similarities(there, start, stop)
        relevant = self._take_relevant(similarities, there, start, stop)
        most = max(relevant.shape[1], self.knn_k)
        largest, columns = _largest(similarities, most)
        above = most - torch.searchsorted(largest.flip(1).contiguous(), relevant)
        above[:, 0] = (similarities >= relevant[:, :1]).sum(1)
        reach = relevant - self._window(there[:, None], relevant)  # (n, R)
        # Of the largest: those under a relevant item, but not by more than its window.
        under = torch.searchsorted(-relevant, -largest)  # (n, most) relevant items above each
        lowest = reach.gather(1, (under - 1).clamp_min(0))
        close = (under > 0) & (largest >= lowest) & largest.isfinite()
        rows, place = close.nonzero().unbind(1)
        found = [(rows, columns[rows, place], largest[rows, place])]
        # Of all: those under the first relevant item, wherever it is.
        close = (similarities < relevant[:, :1]) & (similarities >= reach[:, :1])
        close &= above[:, :1] < self.max_k
        rows, place = close.nonzero().unbind(1)
        found.append((rows, place, similarities[rows, place]))
        near = (torch.cat(part).cpu().numpy() for part in zip(*found, strict=True))
        return Found(
            queries,
            relevant.cpu().numpy(),
            above.cpu().numpy(),
            largest[:, : self.knn_k].cpu().numpy(),
            columns[:, : self.knn_k].cpu().numpy(),
            *near,
        )

    def _all(self, queries: np.ndarray) -> np.ndarray:
        """The similarities (n, N) of queries (n,) to every item, on the host."""
        start, stop = int(queries.min()), int(queries.max()) + 1
        there = torch.from_numpy(queries).to(self.device)
        return self._similarities(there, start, stop).cpu().numpy()

    def _similarities(self, queries: Tensor, start: int, stop: int) -> Tensor:
        """The similarities (n, N) of queries (n,) to every item, −inf to themselves.

        start, stop: the queries are all of these, or some.
        """
        task = self.task
        if self.gallery is not None and task.symmetric:
            rows = self.gallery[start:stop]
        else:
            rows = torch.from_numpy(task.queries.block(start, stop)).to(self.device)
        if len(queries) < stop - start:
            rows = rows[queries - start]
        out = torch.empty(len(queries), len(task.gallery), dtype=rows.dtype, device=self.device)
        if self.gallery is not None:
            torch.matmul(rows, self.gallery.T, out=out)
        else:
            for first, last in task.gallery.chunks():
                chunk = torch.from_numpy(task.gallery.block(first, last)).to(self.device)
                out[:, first:last] = rows @ chunk.T
        if self.duplicates is not None:
            out[:, self.duplicate_columns] = (rows @ self.duplicates.T)[:, self.duplicate_which]
        if task.self_retrieval:
            out.scatter_(1, queries[:, None], -torch.inf)
        return out

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of queries whose rows fit in the memory together."""
        start, total = 0, len(self.task.query_class)
        while start < total:
            stop = min(start + self._at_once(start), total)
            # Later classes are larger, and need more.
            stop = start + max(1, min(stop - start, self._at_once(stop - 1)))
            yield start, stop
            start = stop

    def _chunks(self, queries: np.ndarray) -> Iterator[np.ndarray]:
        """The same of some queries, ascending."""
        if len(queries):
            size = max(1, self._at_once(int(queries[-1])) // 2)
            yield from np.split(queries, range(size, len(queries), size))

    def _at_once(self, query: int) -> int:
        """How many queries like this one fit in the memory."""
        num_relevant = int(self.task.num_relevant[query])
        size = self.task.gallery.dtype.itemsize
        # A row and a comparison with it; numbers of each relevant item; pairs of voters.
        a_query = len(self.task.gallery) * (2 * size + 2) + 128 * max(num_relevant, self.knn_k)
        return max(1, self.block_bytes // (a_query + 16 * self.knn_k**2))

    def _spare_bytes(self) -> int:
        if self.device.type != "cuda":
            return _BLOCK_BYTES
        return max(_BLOCK_BYTES, min(_free_bytes(self.device) // _SHARE_OF_FREE, _MOST_BYTES))

    def _fits(self) -> bool:
        """Whether the gallery may stay on the device; else it passes through, chunk by chunk."""
        if not self.task.gallery.resident:
            return False
        if self.device.type != "cuda":
            return True
        return self.task.gallery.num_bytes <= _free_bytes(self.device) // 2

    def _on_device(self) -> Tensor:
        items = self.task.gallery
        return torch.cat(
            [torch.from_numpy(items.block(*chunk)).to(self.device) for chunk in items.chunks()]
        )


def _free_bytes(device: torch.device) -> int:
    """Memory of a CUDA device that this process can still have."""
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + kept


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
