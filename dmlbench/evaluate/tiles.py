"""The exact scores of all queries on a CPU, one tile of the similarity matrix at a time.

In a self retrieval a tile serves twice, its rows as queries and its columns as queries, and half
of the matrix is never computed. Tiles are small enough for the cache, and every worker multiplies
with one thread of BLAS: the bookkeeping then runs as parallel as the products.

Legend: Q queries, N gallery items, D width, b queries of a block, w columns of a tile, R relevant
items of a query.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import threadpoolctl

from dmlbench.evaluate.items import Task
from dmlbench.evaluate.ranking import QueryBlock, Scratch
from dmlbench.evaluate.scores import Ranks, Scores, score

# No power of two: rows that lie a power of two apart share few lines of the cache.
TILE = 1000
# Of a tile, its mask and what is made on the way.
_BYTES_A_SIMILARITY = 16
# Similarities under which threads cost more than they save.
_SMALL = 2**22


@dataclass
class _Block:
    """Queries start to stop, whose classes are the columns home_start to home_stop.

    twins: (b, T) similarities to the embeddings that stand in several classes; see `items.Twins`.
    """

    start: int
    stop: int
    home_start: int
    home_stop: int
    ranking: Any = None
    twins: np.ndarray | None = None

    @property
    def home_size(self) -> int:
        return (self.stop - self.start) * (self.home_stop - self.home_start)


@dataclass(frozen=True)
class _Tile:
    """A product to make: the queries of a block by the columns start to stop.

    partner: the block whose queries these columns are, where the tile serves both.
    """

    block: _Block
    start: int
    stop: int
    partner: _Block | None = None


def scan(task: Task, deepest: int, knn_k: int, block_bytes: int) -> Iterator[Scores]:
    """The scores of the queries, some at a time, in their order.

    deepest: the largest K of Recall@K. knn_k: neighbours that vote. block_bytes: memory to use
    above the embeddings, kept to unless one query with its class needs more.
    """
    with _one_blas_thread_each(len(task.query_class) * len(task.gallery)) as workers:
        scanner = _Scanner(task, deepest, knn_k, block_bytes, workers)
        for panel in scanner.panels():
            scanner.run(scanner.begin, panel)
            scanner.run(scanner.absorb, scanner.tiles(panel))
            for block in panel:
                yield scanner.finish(block)


class _Scanner:
    """One pass over the similarity matrix."""

    def __init__(
        self, task: Task, deepest: int, knn_k: int, block_bytes: int, workers: int
    ) -> None:
        self.task, self.deepest, self.knn_k, self.workers = task, deepest, knn_k, workers
        self.block_bytes = block_bytes
        self.tile_size = max(1, block_bytes // (workers * _BYTES_A_SIMILARITY))
        self.side = min(TILE, math.isqrt(self.tile_size))
        # Both directions at once needs what is known of all queries at once.
        self.symmetric = (
            task.symmetric
            and task.twins is None
            and int(task.num_relevant.max()) < self.side
            and sum(map(self._state_bytes, self._blocks(whole_classes=True))) <= block_bytes
        )
        self.blocks = list(self._blocks(whole_classes=self.symmetric))
        self.scratch_size = max(self.side**2, *(block.home_size for block in self.blocks))

    def panels(self) -> Iterator[list[_Block]]:
        """Blocks in groups whose state fits in the memory together."""
        if self.symmetric:
            yield self.blocks
            return
        panel: list[_Block] = []
        size = 0
        for block in self.blocks:
            size += self._state_bytes(block)
            if panel and size > self.block_bytes:
                yield panel
                panel, size = [], self._state_bytes(block)
            panel.append(block)
        yield panel

    def tiles(self, panel: list[_Block]) -> Iterator[_Tile]:
        """Everything but the homes, which are taken in first."""
        num_items = len(self.task.gallery)
        if self.symmetric:
            for i, block in enumerate(panel):
                for partner in panel[i + 1 :]:
                    yield _Tile(block, partner.start, partner.stop, partner)
        first = panel[-1].home_stop if self.symmetric else 0
        width = max(1, self.scratch_size // max(block.stop - block.start for block in panel))
        width = min(width, self.side**2 // min(self.side, len(self.task.query_class)))
        for start in range(first, num_items, width):
            stop = min(start + width, num_items)
            for block in panel:
                if start < block.home_start:
                    yield _Tile(block, start, min(stop, block.home_start))
                if stop > block.home_stop:
                    yield _Tile(block, max(start, block.home_stop), stop)

    def begin(self, block: _Block, scratch: Scratch) -> None:
        """Take in a block's home: its relevant similarities, and the first irrelevant ones."""
        task, home = self.task, block.home_start
        classes = task.query_class[block.start : block.stop]
        if task.twins is not None:
            queries = task.queries.block(block.start, block.stop)
            block.twins = queries @ task.twins.embeddings.T
        tile = self._similarities(block, home, block.home_stop, scratch)  # (b, w)
        starts, stops = task.starts[classes], task.starts[classes + 1]
        columns = starts[:, None] + np.arange((stops - starts).max())  # (b, R or R + 1)
        outside = columns >= stops[:, None]
        columns = np.where(outside, starts[:, None], columns) - home
        relevant = np.take_along_axis(tile, columns, axis=1)
        relevant[outside] = -np.inf
        if task.self_retrieval:
            rows = np.arange(len(classes))
            relevant[rows, block.start + rows - starts] = -np.inf
        relevant = -np.sort(-relevant, axis=1)
        np.put_along_axis(tile, columns, -np.inf, axis=1)
        block.ranking = QueryBlock(
            relevant[:, : relevant.shape[1] - task.self_retrieval].copy(),
            task.num_relevant[block.start : block.stop],
            self.deepest,
            self.knn_k,
        )
        block.ranking.begin(tile, home, scratch)

    def absorb(self, tile: _Tile, scratch: Scratch) -> None:
        """Take in a tile that holds no relevant item."""
        similarities = self._similarities(tile.block, tile.start, tile.stop, scratch)
        tile.block.ranking.absorb(similarities, 0, tile.start, scratch)
        if tile.partner is not None:
            tile.partner.ranking.absorb(similarities, 1, tile.block.start, scratch)

    def finish(self, block: _Block) -> Scores:
        """The scores of a block that has seen every item; its state is let go."""
        task, ranking = self.task, block.ranking
        ranking.finish()
        block.ranking = block.twins = None
        ranks = Ranks(
            ranking.relevant,
            ranking.num_relevant,
            ranking.above,
            ranking.near,
            task.gallery_class[ranking.near_columns],
        )
        return score(
            ranks,
            task.query_class[block.start : block.stop],
            task.gallery_class,
            len(task.gallery) - task.self_retrieval,
            lambda rows: self._all_similarities(block.start + rows),
            at_once=max(1, self.block_bytes // (len(task.gallery) * _BYTES_A_SIMILARITY)),
        )

    def run(
        self, work: Callable[[Any, Scratch], None], items: Iterable[_Block] | Iterable[_Tile]
    ) -> None:
        """Call work(item, scratch) for every item, on all workers."""
        queue, lock = iter(items), threading.Lock()
        failed = threading.Event()

        def drain() -> None:
            scratch = Scratch(self.scratch_size, self.task.gallery.dtype)
            while not failed.is_set():
                with lock:
                    item = next(queue, None)
                if item is None:
                    return
                work(item, scratch)

        if self.workers == 1:
            drain()
            return
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                for future in [pool.submit(drain) for _ in range(self.workers)]:
                    future.result()
            except BaseException:
                failed.set()
                raise

    def _blocks(self, whole_classes: bool) -> Iterator[_Block]:
        """The queries cut into blocks of up to `side`, whose homes fit a tile."""
        task = self.task
        num_queries = len(task.query_class)
        start = 0
        while start < num_queries:
            stop = min(start + self.side, num_queries)
            if whole_classes and stop < num_queries:
                stop = int(task.starts[task.query_class[stop]])
            home_start = int(task.starts[task.query_class[start]])
            while True:
                home_stop = int(task.starts[task.query_class[stop - 1] + 1])
                width = home_stop - home_start
                if whole_classes or stop == start + 1 or (stop - start) * width <= self.tile_size:
                    break
                stop = start + (stop - start) // 2
            yield _Block(start, stop, home_start, home_stop)
            start = stop

    def _state_bytes(self, block: _Block) -> int:
        task = self.task
        width = int(task.num_relevant[block.stop - 1]) + 4 * self.knn_k
        twins = len(task.twins.embeddings) if task.twins is not None else 0
        return (block.stop - block.start) * (width + twins) * _BYTES_A_SIMILARITY

    def _similarities(self, block: _Block, start: int, stop: int, scratch: Scratch) -> np.ndarray:
        """The tile (b, w) of a block's queries and the columns start to stop."""
        task = self.task
        tile = scratch.tile(
            task.queries.block(block.start, block.stop), task.gallery.block(start, stop)
        )
        if task.twins is not None:
            first, last = np.searchsorted(task.twins.columns, [start, stop])
            columns = task.twins.columns[first:last] - start
            assert block.twins is not None, "computed when the block was begun"
            tile[:, columns] = block.twins[:, task.twins.which[first:last]]
        return tile

    def _all_similarities(self, queries: np.ndarray) -> np.ndarray:
        """The similarities (n, N) of queries (n,) to every item, −inf to themselves."""
        task = self.task
        rows = task.queries.take(queries)
        out = np.empty((len(queries), len(task.gallery)), rows.dtype)
        for start, stop in task.gallery.chunks():
            np.matmul(rows, task.gallery.block(start, stop).T, out=out[:, start:stop])
        if task.twins is not None:
            out[:, task.twins.columns] = (rows @ task.twins.embeddings.T)[:, task.twins.which]
        if task.self_retrieval:
            out[np.arange(len(queries)), queries] = -np.inf
        return out


@contextlib.contextmanager
def _one_blas_thread_each(num_similarities: int) -> Iterator[int]:
    """As many workers as BLAS has threads, and BLAS held to one for each of them meanwhile."""
    if num_similarities < _SMALL:
        yield 1
        return
    blas = threadpoolctl.ThreadpoolController().select(user_api="blas")
    workers = max((library["num_threads"] for library in blas.info()), default=1)
    if workers == 1:
        yield 1
        return
    with blas.limit(limits=1):
        yield workers
