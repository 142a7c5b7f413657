"""Writes the site: an index of all entries, a page an entry, and what both need to be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmlbench.errors import UsageError
from dmlbench.files import require_writable, resolved
from dmlbench.leaderboard.comparison.outcome import Verdict
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.comparison.verdict import verdicts
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC, metric_title
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.site.board import board_data
from dmlbench.leaderboard.site.feed import News, atom_feed
from dmlbench.leaderboard.site.gallery import gallery
from dmlbench.leaderboard.site.host import NO_HOST, Host
from dmlbench.leaderboard.site.page import entry_page
from dmlbench.leaderboard.site.pictures import LeftOut, Pictures
from dmlbench.leaderboard.site.prose import paragraphs, prose
from dmlbench.leaderboard.site.terms import terms
from dmlbench.leaderboard.verification.tiers import Tiers, verified_by_checks
from dmlbench.leaderboard.views import columns as cells
from dmlbench.leaderboard.views.export import render_csv
from dmlbench.version import __version__

if TYPE_CHECKING:
    import pandas
    from jinja2 import Environment

    from dmlbench.plugins.registry import Registry

# Lists what was written, so the next time what is stale goes and nothing else does.
MANIFEST = ".dmlbench-site"
_COPIED = ("assets", "vendor")


@dataclass(frozen=True)
class Site:
    """What was written: the index page, and how much of what."""

    index: Path
    num_entries: int
    num_groups: int
    num_galleries: int


def write_site(
    entries: Iterable[Entry],
    folder: str | Path,
    by: str = DEFAULT_METRIC,
    *,
    published: Sequence[PublishedResult] = (),
    source: str | Path | None = None,
    registry: Registry | None = None,
    galleries: bool = True,
    host: Host = NO_HOST,
    logo: bytes | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Site:
    """Write a leaderboard as a site into `folder`, over an older one.

    published: results of papers, shown in groups of their own and without pages.
    source: the folder that the entries were read from, where attestations and the stored test
        embeddings lie. registry: where the galleries' datasets and the combiners' summaries come
        from; None leaves both out. galleries: False leaves galleries out.
    host, logo: of `read_host`, what the host says on the pages.
    progress: called with pages, done and in all.
    Raises `UsageError` for a metric that no entry has, or a folder that holds something else.
    """
    entries = list(entries)
    verification = Tiers(source).verification if source is not None else verified_by_checks
    frame = leaderboard_frame(entries, by, verification, published)
    by = cells.ranking_metric(frame, by)
    found = verdicts(entries, by, verification)
    labels = Labels(entries)
    by_key = {labels.key(entry): entry for entry in entries}
    folder = Path(folder)
    before = _take(folder)
    written = _copy_assets(folder)
    # Pages are opened before the index names them, and the index goes last.
    pictures = Pictures(folder, registry) if registry is not None and galleries else None
    measured = frame[frame["source"].isna()]
    news = [_news(row, place, group, by) for row, place, group in _placed(measured, by)]
    feed = atom_feed(host.title, host.base, [one for one in news if one.date])
    environment = _environment()
    environment.globals |= {
        "host": host,
        "logo": None if logo is None else f"assets/logo{Path(host.logo or '').suffix.lower()}",
        "feed": feed is not None,
        "updated": str(host.updated or max((one.date[:10] for one in news), default="")),
    }
    if logo is not None:
        written.add(_write(folder, environment.globals["logo"], logo))
    if feed is not None:
        written.add(_write(folder, "feed.xml", feed))
    template = environment.get_template("entry.html")
    num_galleries, about, roots = 0, _by_entry(found), _roots(source)
    for done, (row, place, group) in enumerate(_placed(measured, by), 1):
        entry = by_key[row["key"]]
        shown = _gallery(entry, roots, pictures)
        num_galleries += shown["gallery"] is not None
        values = entry_page(entry, row, about.get(row["key"], []), by) | shown
        values |= {"place": place, "group": group, "key": row["key"]}
        written.add(_write(folder, f"entries/{row['key']}.html", template.render(values)))
        progress(done, len(entries))
    written |= pictures.written if pictures is not None else set()
    written.add(_write(folder, "leaderboard.csv", render_csv(frame)))
    sources = by_key | {result.published_id: result for result in published}
    index = environment.get_template("index.html").render(
        board=board_data(frame, found, sources, by, labels),
        terms=terms(frame, by, sources, registry),
    )
    written.add(_write(folder, "index.html", index))
    _write(folder, MANIFEST, "".join(f"{name}\n" for name in sorted(written)))
    _remove(folder, before - written)
    return Site(folder / "index.html", len(entries), frame["group"].nunique(), num_galleries)


def _placed(frame: pandas.DataFrame, by: str) -> Iterable[tuple[dict[str, Any], str, str]]:
    """Each row with its rank in words and what its group has in common."""
    for _, rows in frame.groupby("group", sort=False):
        title = cells.group_title(rows)
        # Several submissions of a configuration count once.
        ranked = rows["entry_id"][rows["rank_low"].notna()].nunique()
        for row, rank in zip(rows.to_dict("records"), cells.rank_cells(rows), strict=True):
            place = f"rank {rank.strip()} of {ranked} by {metric_title(by)}"
            if rank == cells.NOTHING:
                place = "not ranked"
            yield row, place, title


def _news(row: Mapping[str, Any], place: str, group: str, by: str) -> News:
    """An entry of the feed; its date is empty where no trial says when it ended."""
    mean = cells.percent(row[by])
    return News(
        key=row["key"],
        title=f"{row['name']} on {row['dataset']}: {metric_title(by)} {mean}",
        summary=f"{place}, {row['tier']}. {group}",
        author=row["submitter"] or "unnamed",
        date=row["date"] or "",
    )


def _by_entry(found: list[Verdict]) -> dict[str, list[Verdict]]:
    """Verdicts by the keys of the entries that they speak of."""
    about: dict[str, list[Verdict]] = {}
    for verdict in found:
        for key in {verdict.key, verdict.best_single_key} - {None}:
            about.setdefault(key, []).append(verdict)
    return about


def _roots(source: str | Path | None) -> list[Path]:
    """Embeddings are named from the root of all leaderboards; `source` may be below it."""
    if source is None:
        return []
    folder = resolved(source)
    return [folder, folder.parent, folder.parent.parent]


def _gallery(entry: Entry, roots: list[Path], pictures: Pictures | None) -> dict[str, Any]:
    if pictures is None:
        return {"gallery": None, "no_gallery": "Galleries were left out when this was made."}
    try:
        return {"gallery": gallery(entry, roots, pictures), "no_gallery": None}
    except LeftOut as reason:
        return {"gallery": None, "no_gallery": str(reason)}


def _environment() -> Environment:
    """Templates in which every value is escaped unless it is one."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("dmlbench.leaderboard.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Compact, and with <, > and & as escapes, so no text can close the script it is in.
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.globals["version"] = __version__
    environment.filters["shown"] = plain
    environment.filters["prose"] = prose
    environment.filters["paragraphs"] = paragraphs
    return environment


def _take(folder: Path) -> set[str]:
    """Make the folder, or make sure that it is a site's; gives the files of the older site."""
    require_writable(folder, "Name another folder for the site.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise UsageError(f"{folder} cannot be made a folder: {error.strerror}.") from error
    manifest = folder / MANIFEST
    if manifest.is_file():
        return set(manifest.read_text("utf-8").splitlines())
    if names:
        raise UsageError(
            f"{folder} holds other files ({', '.join(sorted(names)[:3])}), which a site could "
            f"overwrite. Name a new or empty folder."
        )
    # Taken before anything is written, so a build that was cut off can be gone on with.
    _write(folder, MANIFEST, "")
    return set()


def _copy_assets(folder: Path) -> set[str]:
    written = set()
    for part in _COPIED:
        for file in (resources.files("dmlbench.leaderboard.site") / part).iterdir():
            if not file.name.startswith("."):
                written.add(_write(folder, f"{part}/{file.name}", file.read_bytes()))
    return written


def _write(folder: Path, name: str, content: str | bytes) -> str:
    data = content.encode("utf-8") if isinstance(content, str) else content
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return name


def _remove(folder: Path, names: set[str]) -> None:
    """Delete what the older site had and this one has not, and folders that it leaves empty."""
    for name in names:
        path = folder / name
        if resolved(path).is_relative_to(resolved(folder)) and path.is_file():
            path.unlink()
            if path.parent != folder and not any(path.parent.iterdir()):
                path.parent.rmdir()
