"""The exact scores of all queries on a CPU, one tile of the similarity matrix at a time.

In a self retrieval a tile serves twice, its rows as queries and its columns as queries, and half
of the matrix is never computed. Tiles are small enough for the cache, and every worker multiplies
with one thread of BLAS: the bookkeeping then runs as parallel as the products.

Legend: Q queries, N gallery items, D dimension, b queries of a block, w columns of a tile, R
relevant items of a query.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import threadpoolctl

from dmlbench.evaluate.items import Task
from dmlbench.evaluate.near_ties import NearTies
from dmlbench.evaluate.ranking import QueryBlock, Scratch
from dmlbench.evaluate.scores import Ranks, Scores, score
from dmlbench.evaluate.tiling import BYTES_A_SIMILARITY, Block, Tile, Tiling

# Similarities under which threads cost more than they save.
_SMALL = 2**22


def scan(task: Task, max_k: int, knn_k: int, block_bytes: int) -> Iterator[Scores]:
    """The scores of the queries, some at a time, in their order.

    max_k: the largest K of Recall@K. knn_k: neighbours that vote. block_bytes: memory to use
    above the embeddings, kept to unless one query with its class needs more.
    """
    with _one_blas_thread_each(len(task.query_class) * len(task.gallery)) as workers:
        tiling = Tiling(task, knn_k, block_bytes, workers)
        scanner = _Scanner(tiling, max_k, workers)
        for panel in tiling.panels():
            scanner.run(scanner.begin, panel)
            scanner.run(scanner.absorb, tiling.tiles(panel))
            for block in panel:
                yield scanner.finish(block)


class _Scanner:
    """One pass over the similarity matrix.

    max_k: the largest K of Recall@K.
    """

    def __init__(self, tiling: Tiling, max_k: int, workers: int) -> None:
        self.tiling, self.max_k, self.workers = tiling, max_k, workers
        self.task = tiling.task

    def begin(self, block: Block, scratch: Scratch) -> None:
        """Take in the items of a block's own classes, relevant to some of its queries or not."""
        task, first = self.task, block.class_start
        if task.duplicates is not None:
            queries = task.queries.block(block.start, block.stop)
            block.duplicates = queries @ task.duplicates.embeddings.T
        tile = self._similarities(block, first, block.class_stop, scratch)  # (b, w)
        block.ranking = QueryBlock(
            self._take_relevant(block, tile),
            task.num_relevant[block.start : block.stop],
            self.max_k,
            self.tiling.knn_k,
            NearTies(task, range(block.start, block.stop)),
        )
        block.ranking.begin(tile, first, scratch)

    def _take_relevant(self, block: Block, tile: np.ndarray) -> np.ndarray:
        """Similarities (b, R) of the relevant items, descending, padded with −inf.

        tile: (b, w) of the block's own classes; they and the queries themselves are −inf after.
        """
        task = self.task
        classes = task.query_class[block.start : block.stop]
        starts, stops = task.starts[classes], task.starts[classes + 1]
        columns = starts[:, None] + np.arange((stops - starts).max())  # (b, R or R + 1)
        outside = columns >= stops[:, None]
        columns = np.where(outside, starts[:, None], columns) - block.class_start
        relevant = np.take_along_axis(tile, columns, axis=1)
        relevant[outside] = -np.inf
        if task.self_retrieval:
            rows = np.arange(len(classes))
            relevant[rows, block.start + rows - starts] = -np.inf
        np.put_along_axis(tile, columns, -np.inf, axis=1)
        relevant = -np.sort(-relevant, axis=1)
        return relevant[:, : relevant.shape[1] - task.self_retrieval].copy()

    def absorb(self, tile: Tile, scratch: Scratch) -> None:
        """Take in a tile that holds no relevant item."""
        similarities = self._similarities(tile.block, tile.start, tile.stop, scratch)
        _begun(tile.block).absorb(similarities, 0, tile.start, scratch)
        if tile.partner is not None:
            _begun(tile.partner).absorb(similarities, 1, tile.block.start, scratch)

    def finish(self, block: Block) -> Scores:
        """The scores of a block that has seen every item; its state is let go."""
        task, ranking = self.task, _begun(block)
        ranking.finish()
        block.ranking = block.duplicates = None
        ranks = Ranks(
            ranking.relevant,
            ranking.num_relevant,
            ranking.above,
            ranking.nearest.similarities,
            ranking.nearest.columns,
        )
        return score(
            ranks,
            task.query_class[block.start : block.stop],
            task.gallery_class,
            len(task.gallery) - task.self_retrieval,
            ranking.ties,
            lambda rows: self._all_similarities(block.start + rows),
            at_once=max(1, self.tiling.block_bytes // (len(task.gallery) * BYTES_A_SIMILARITY)),
        )

    def run(
        self, work: Callable[[Any, Scratch], None], items: Iterable[Block] | Iterable[Tile]
    ) -> None:
        """Call work(item, scratch) for every item, on all workers."""
        queue, lock = iter(items), threading.Lock()
        failed = threading.Event()

        def drain() -> None:
            scratch = Scratch(self.tiling.scratch_size, self.task.gallery.dtype)
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

    def _similarities(self, block: Block, start: int, stop: int, scratch: Scratch) -> np.ndarray:
        """The tile (b, w) of a block's queries and the columns start to stop."""
        task = self.task
        tile = scratch.tile(
            task.queries.block(block.start, block.stop), task.gallery.block(start, stop)
        )
        if task.duplicates is not None:
            first, last = np.searchsorted(task.duplicates.columns, [start, stop])
            columns = task.duplicates.columns[first:last] - start
            assert block.duplicates is not None, "computed when the block was begun"
            tile[:, columns] = block.duplicates[:, task.duplicates.which[first:last]]
        return tile

    def _all_similarities(self, queries: np.ndarray) -> np.ndarray:
        """The similarities (n, N) of queries (n,) to every item, −inf to themselves."""
        task = self.task
        rows = task.queries.take(queries)
        out = np.empty((len(queries), len(task.gallery)), rows.dtype)
        for start, stop in task.gallery.chunks():
            np.matmul(rows, task.gallery.block(start, stop).T, out=out[:, start:stop])
        if task.duplicates is not None:
            duplicates = task.duplicates
            values = rows @ duplicates.embeddings.T
            out[:, duplicates.columns] = values[:, duplicates.which]
        if task.self_retrieval:
            out[np.arange(len(queries)), queries] = -np.inf
        return out


def _begun(block: Block) -> QueryBlock:
    """The ranking of a block that was begun."""
    assert block.ranking is not None
    return block.ranking


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
