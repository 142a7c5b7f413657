"""How the similarity matrix is cut: into blocks of queries, and tiles of a block by some columns.

Legend: b queries of a block, w columns of a tile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dmlbench.evaluate.items import Task
from dmlbench.evaluate.ranking import QueryBlock

# Not a power of two: rows that are a power of two apart share few lines of the cache.
TILE = 1000
# Of a tile, its mask and what is made on the way.
BYTES_A_SIMILARITY = 16


@dataclass
class Block:
    """Queries start to stop, whose classes are the columns class_start to class_stop.

    ranking: what is known of their ranks, once the block was begun.
    duplicates: (b, T) similarities to the embeddings that occur in several classes; see
        `items.Duplicates`.
    """

    start: int
    stop: int
    class_start: int
    class_stop: int
    ranking: QueryBlock | None = None
    duplicates: np.ndarray | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def class_block_size(self) -> int:
        """Similarities of its queries to the items of their classes."""
        return len(self) * (self.class_stop - self.class_start)


@dataclass(frozen=True)
class Tile:
    """A product to make: the queries of a block by the columns start to stop.

    partner: the block whose queries these columns are, where the tile serves both.
    """

    block: Block
    start: int
    stop: int
    partner: Block | None = None


class Tiling:
    """All blocks and tiles of a task.

    block_bytes: memory to use above the embeddings, kept to unless one query with its class needs
        more. workers: how many of them make tiles at once.

    symmetric: whether a tile serves its rows and its columns. tile_size: similarities of a tile,
    at most, except where `scratch_size` is larger: what one query with its class needs.
    """

    def __init__(self, task: Task, knn_k: int, block_bytes: int, workers: int) -> None:
        self.task, self.knn_k, self.block_bytes = task, knn_k, block_bytes
        self.tile_size = max(1, block_bytes // (workers * BYTES_A_SIMILARITY))
        self.side = min(TILE, math.isqrt(self.tile_size))
        self.symmetric = self._can_be_symmetric()
        self.blocks = list(self._blocks())
        self.scratch_size = max(self.side**2, *(block.class_block_size for block in self.blocks))

    def panels(self) -> Iterator[list[Block]]:
        """Blocks in groups whose state fits in the memory together."""
        if self.symmetric:
            yield self.blocks
            return
        panel: list[Block] = []
        size = 0
        for block in self.blocks:
            size += self._state_bytes(block)
            if panel and size > self.block_bytes:
                yield panel
                panel, size = [], self._state_bytes(block)
            panel.append(block)
        yield panel

    def tiles(self, panel: list[Block]) -> Iterator[Tile]:
        """Everything except the blocks' own classes, which are taken in first."""
        first = 0
        if self.symmetric:
            yield from _pairs(panel)
            first = panel[-1].class_stop
        num_items = len(self.task.gallery)
        width = self._tile_width(panel)
        for start in range(first, num_items, width):
            stop = min(start + width, num_items)
            for block in panel:
                if start < block.class_start:
                    yield Tile(block, start, min(stop, block.class_start))
                if stop > block.class_stop:
                    yield Tile(block, max(start, block.class_stop), stop)

    def _tile_width(self, panel: list[Block]) -> int:
        widest = max(1, self.scratch_size // max(map(len, panel)))
        return min(widest, self.side**2 // min(self.side, len(self.task.query_class)))

    def _can_be_symmetric(self) -> bool:
        """Both directions at once needs what is known of all queries at once."""
        return (
            self.task.symmetric
            and self.task.duplicates is None
            and int(self.task.num_relevant.max()) < self.side
            and sum(map(self._state_bytes, self._blocks_of_whole_classes())) <= self.block_bytes
        )

    def _blocks(self) -> Iterator[Block]:
        if self.symmetric:
            return self._blocks_of_whole_classes()
        return self._blocks_that_fit_a_tile()

    def _blocks_of_whole_classes(self) -> Iterator[Block]:
        """The queries cut into blocks of up to `side`, between classes."""
        task = self.task
        num_queries = len(task.query_class)
        start = 0
        while start < num_queries:
            stop = min(start + self.side, num_queries)
            if stop < num_queries:
                stop = int(task.starts[task.query_class[stop]])
            yield self._block(start, stop)
            start = stop

    def _blocks_that_fit_a_tile(self) -> Iterator[Block]:
        """The queries cut into blocks of up to `side`, halved until their classes fit a tile."""
        num_queries = len(self.task.query_class)
        start = 0
        while start < num_queries:
            block = self._block(start, min(start + self.side, num_queries))
            while len(block) > 1 and block.class_block_size > self.tile_size:
                block = self._block(start, start + len(block) // 2)
            yield block
            start = block.stop

    def _block(self, start: int, stop: int) -> Block:
        task = self.task
        class_start = int(task.starts[task.query_class[start]])
        return Block(start, stop, class_start, int(task.starts[task.query_class[stop - 1] + 1]))

    def _state_bytes(self, block: Block) -> int:
        task = self.task
        width = int(task.num_relevant[block.stop - 1]) + 4 * self.knn_k
        duplicates = len(task.duplicates.embeddings) if task.duplicates is not None else 0
        return len(block) * (width + duplicates) * BYTES_A_SIMILARITY


def _pairs(blocks: list[Block]) -> Iterator[Tile]:
    """Each block by the queries of each later one."""
    for i, block in enumerate(blocks):
        for partner in blocks[i + 1 :]:
            yield Tile(block, partner.start, partner.stop, partner)
