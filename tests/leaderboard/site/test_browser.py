"""The site in a real browser, opened from files. `visit` fails on any complaint or request."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.site.build import write_site

ROWS = "section.group:first-of-type tbody tr"


def names(page) -> list[str]:
    return page.locator(f"{ROWS} th a").all_inner_texts()


def sort_by(page, column: str) -> None:
    page.locator(f"section.group:first-of-type th[data-column={column}] .sort").click()


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_question_finding_and_table_are_on_the_first_screen(visit, site, width, height):
    page = visit(site / "index.html", width=width)
    page.set_viewport_size({"width": width, "height": height})

    def bottom(selector):
        box = page.locator(selector).first.bounding_box()
        return box["y"] + box["height"]

    assert bottom("h1") < bottom(".lead") < bottom(".finding") < bottom("tbody tr")
    assert bottom("tbody tr:nth-child(3)") < height
    finding = page.locator(".finding").first.inner_text()
    assert "wedl(triplet + ms) beats its best single loss. Highest MAP@R: " in finding
    assert page.locator("#filter-loss").is_hidden()


def test_groups_are_tables_of_their_own_and_say_what_beats_what(visit, site):
    page = visit(site / "index.html")
    sections = page.locator("section.group")
    assert sections.count() == 3
    # Those of one or two rows come last and are folded, and filled when they are opened.
    assert sections.locator("h2").all_inner_texts() == ["glyphs", "birds", "glyphs"]
    assert page.locator("table").count() == 1
    page.locator("section.group summary").get_by_text("birds").click()
    page.locator("section.group:nth-of-type(2) table").wait_for()
    assert page.locator("#count").inner_text() == "7 rows in 3 tables"
    verdict = page.locator("li[data-outcome=better]")
    assert "against ms" in verdict.inner_text()
    assert "beats its best single loss, ms" not in verdict.inner_text()
    verdict.locator("summary").click()
    assert "beats its best single loss, ms" in verdict.inner_text()


def test_words_are_explained_by_pointer_keyboard_and_touch(visit, site):
    page = visit(site / "index.html")
    tip = page.locator("#tip")
    assert tip.is_hidden()
    word = page.get_by_role("button", name="What is MAP@R?")
    word.hover()
    assert "mean average precision at R" in tip.inner_text()
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    page.locator("th[data-column=map_at_r] .sort").focus()
    page.keyboard.press("Tab")
    assert tip.is_visible() and tip.inner_text().startswith("MAP@R")
    page.keyboard.press("Tab")
    assert not tip.inner_text().startswith("MAP@R") or tip.is_hidden()
    page.get_by_role("button", name="What is Tier?").click()
    assert "reproduced" in tip.inner_text()
    page.locator("h1").click()
    assert tip.is_hidden()
    # Readers who do not see the tip hear the legend's text.
    described = page.locator(f"#{word.get_attribute('aria-describedby')}")
    assert "mean average precision" in described.inner_text()


def test_sorting_moves_rows_and_tells_a_screen_reader(visit, site):
    page = visit(site / "index.html")
    group = page.locator("section.group").first
    head = group.locator("th[data-column=map_at_r]")

    def values():
        return [float(t.split("±")[0]) for t in group.locator("td:nth-child(5)").all_inner_texts()]

    def ranks():
        return group.locator("td:nth-child(1)").all_inner_texts()

    assert ranks()[0].strip() == "1" and ranks()[-1].strip() == "–"
    assert group.locator("th[data-column=rank]").get_attribute("aria-sort") == "ascending"
    head.locator(".sort").click()
    assert values() == sorted(values(), reverse=True) and values()[0] == 60.0
    assert head.get_attribute("aria-sort") == "descending"
    assert group.locator("th[aria-sort]").count() == 1
    assert "Sorted by MAP@R, descending" in group.locator("[role=status].unseen").inner_text()
    head.locator(".sort").click()
    assert values() == sorted(values())
    # The numbers of ranks stay with their rows, and a row without one is last either way.
    assert ranks()[-1].strip() == "–"
    for _ in range(2):
        group.locator("th[data-column=rank] .sort").click()
        assert ranks()[-1].strip() == "–"
    assert group.locator("th[data-column=rank]").get_attribute("aria-sort") == "descending"


def test_intervals_are_bars_that_overlap_where_the_numbers_do(visit, site):
    page = visit(site / "index.html", "#dataset=glyphs")
    row = page.locator("section.group").first.locator("tr[data-kind=combination]")
    assert re.fullmatch(r"5\d\.\d to 6\d\.\d", row.locator(".bars .unseen").inner_text())
    track, bar = row.locator(".bar").bounding_box(), row.locator(".range").bounding_box()
    point = row.locator(".point").bounding_box()
    middle = bar["x"] + bar["width"] / 2
    assert track["x"] - 1 <= bar["x"] and bar["width"] > 2
    assert abs(point["x"] + point["width"] / 2 - middle) < 2


def test_a_row_far_behind_does_not_squeeze_the_others(visit, make_entry, tmp_path):
    """Its bar ends at the edge of the scale, with an arrow; what is at the top is told apart."""
    means = {"a": 0.60, "b": 0.55, "c": 0.54, "d": 0.53, "behind": 0.05}
    entries = [
        make_entry(name, [mean + 0.002 * i for i in (0, 1, -1, 2, -2)])
        for name, mean in means.items()
    ]
    write_site(entries, tmp_path / "site")
    page = visit(tmp_path / "site" / "index.html")
    ends = [float(text) for text in page.locator(".scale span").all_inner_texts()]
    assert ends[0] > 40 and 60 < ends[1] < 70
    last = page.locator("tbody tr").last
    assert last.locator(".off.left").inner_text() == "◂" and last.locator(".point").count() == 0
    places = [row.get_attribute("data-place") for row in page.locator("td .bar").all()]
    assert places == ["first", *["behind"] * 4]
    first, second = (page.locator("td .point").nth(i).bounding_box()["x"] for i in (0, 1))
    assert first - second > 50


def test_few_rows_are_all_on_the_scale(visit, make_entry, tmp_path):
    means = (0.438, 0.424, 0.416, 0.387, 0.355)
    entries = [
        make_entry(name, [mean + 0.01 * i for i in (0, 1, -1, 2, -2)])
        for name, mean in zip("abcde", means, strict=True)
    ]
    write_site(entries, tmp_path / "site")
    page = visit(tmp_path / "site" / "index.html")
    assert page.locator("td .point").count() == 5 and page.locator("td .off").count() == 0


def test_all_metrics_scroll_and_say_so(visit, site):
    page = visit(site / "index.html", "#metrics=all", width=900)
    region = page.locator(".columns .scroll").first
    assert page.locator("th[data-column=nmi]").is_visible()
    assert region.evaluate("e => e.scrollWidth > e.clientWidth")
    assert page.get_by_text("More columns to the right").first.is_visible()
    assert "cut" in region.get_attribute("class")
    region.evaluate("e => e.scrollTo(e.scrollWidth, 0)")
    page.wait_for_function("!document.querySelector('.scroll').classList.contains('cut')")
    # The names stay in sight.
    left = page.locator("tbody th").first.bounding_box()["x"]
    assert left >= region.bounding_box()["x"] - 1
    page.uncheck("#all-metrics")
    assert page.get_by_text("More columns to the right").first.is_hidden()
    assert "metrics" not in page.url


@pytest.mark.parametrize(
    ("choice", "value", "found"),
    [("dataset", "birds", 1), ("loss", "triplet", 3), ("combiner", "wedl", 1)],
)
def test_filters_keep_only_what_fits(visit, site, choice, value, found):
    page = visit(site / "index.html")
    page.get_by_text("Filters", exact=True).click()
    page.select_option(f"#filter-{choice}", label=value)
    assert page.locator("tbody tr").count() == found
    assert f"Found {found} row" in page.locator("#count").inner_text()
    # The address holds the choice, so that a view can be passed on.
    assert f"{choice}={value}" in page.url
    assert visit(site / "index.html", f"#{choice}={value}").locator("tbody tr").count() == found
    page.click("#reset")
    page.wait_for_function("document.getElementById('count').textContent.startsWith('7 rows')")


def test_search_takes_every_word_and_says_when_nothing_fits(visit, site):
    page = visit(site / "index.html")
    page.fill("#filter-text", "wedl triplet")
    assert page.locator("tbody tr").count() == 1
    page.fill("#filter-text", "wedl cub")
    assert page.locator("section.group").count() == 0
    assert "No rows match" in page.locator("#count").inner_text()


def test_an_entry_opens_and_leads_back_to_its_group(visit, site, entries):
    page = visit(site / "index.html")
    page.get_by_role("link", name="triplet + ms", exact=True).click()
    page.wait_for_url(re.compile(r"entries/[0-9a-f]{16}\.html$"))
    assert page.title() == "wedl(triplet + ms) · Leaderboard"
    assert page.locator("h1").inner_text() == "wedl(triplet + ms)"
    assert "59.0" in page.locator(".headline").inner_text()
    for chart in page.locator("figure.chart").all():
        chart.scroll_into_view_if_needed()
        chart.locator("svg").first.wait_for()
    assert page.locator("figure.chart").count() == 5
    weights = page.get_by_role("img", name="Weights of the losses")
    assert "triplet from 0.51 to 0.53; ms from 0.49 to 0.47" in weights.get_attribute("aria-label")
    assert page.locator("figure.chart svg [stroke-dasharray]").count() > 0
    page.locator(".brand a").click()
    page.wait_for_url(re.compile(r"index\.html#"))
    page.locator("section.group").first.wait_for()
    key = page.url.partition("#group-")[2]
    assert page.locator(f"#group-{key} li[data-outcome=better]").count() == 1


def test_points_of_the_cost_chart_are_links_with_names(visit, site):
    page = visit(site / "index.html", "#combiner=wedl")
    page.locator("figure.cost").scroll_into_view_if_needed()
    chart = page.locator("figure.cost svg").first
    chart.wait_for()
    assert "Recall@1 against wall-clock time of 1 rows" in chart.get_attribute("aria-label")
    # A table of one row, or without costs, has no chart.
    assert visit(site / "index.html", "#dataset=birds").locator("figure.cost").count() == 0
    link = chart.locator("a")
    assert link.get_attribute("aria-label").startswith("wedl(triplet + ms): Recall@1 79.0 (")
    assert re.fullmatch(r"entries/[0-9a-f]{16}\.html", link.get_attribute("href"))


def test_costs_are_drawn_in_seconds_of_one_kind(visit, make_entry, tmp_path):
    entries = []
    for i, name in enumerate(("triplet", "ms", "contrastive")):
        data = make_entry(name, [0.5 + 0.01 * i, 0.52, 0.51]).model_dump()
        for trial in data["trials"]:
            trial["cost"] |= {
                "process_seconds": 30.0 + i,
                "device_seconds": 5.0 + i if i < 2 else None,
            }
        entries.append(type(make_entry()).model_validate(data))
    write_site(entries, tmp_path / "site")
    page = visit(tmp_path / "site" / "index.html")
    page.locator("figure.cost").scroll_into_view_if_needed()
    chart = page.locator("figure.cost svg").first
    chart.wait_for()
    assert "processor time of 3 rows" in chart.get_attribute("aria-label")
    page.get_by_label("Cost:").select_option("accelerator time")
    assert "accelerator time of 2 rows" in chart.get_attribute("aria-label")
    assert "Not drawn: 1 without" in page.locator("figure.cost .key").inner_text()


def test_everything_is_reached_and_done_by_keyboard(visit, site):
    page = visit(site / "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "[document.activeElement].map((e) => e.id || e.ariaLabel || e.innerText)[0]"
            )
        )
        if page.evaluate("!!document.activeElement.closest('th[data-column=recall_at_1]')"):
            break
    assert {"filter-text", "Filters", "all-metrics", "What is Tier?"} <= set(seen)
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    head = page.locator("th[data-column=recall_at_1]").first
    assert head.get_attribute("aria-sort") == "descending"
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "ascending"
    # The focus stays on the title that was pressed.
    assert page.evaluate("document.activeElement.closest('th').dataset.column") == "recall_at_1"


def test_a_screen_reader_finds_names_roles_and_headings(visit, site, entries):
    page = visit(site / "index.html")
    assert page.get_by_role("search", name="Filter the entries").count() == 1
    assert page.get_by_role("columnheader", name="MAP@R").count() == 1
    assert page.get_by_role("rowheader").count() == 5
    assert page.get_by_role("table").first.locator("caption").count() == 1
    for path in (site / "index.html", site / "entries" / f"{entries[2].entry_id}.html"):
        page = visit(path)
        page.wait_for_timeout(100)
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll("input, select, button, a, img, [role=img]")]
            .filter((e) => e.checkVisibility())
            .filter((e) => !(e.ariaLabel || e.innerText || e.alt || e.labels?.length))
            .map((e) => e.outerHTML)"""
        )
        assert unnamed == []
        assert page.locator("h1").count() == 1 and page.locator("html[lang]").count() == 1


def luminance(colour: str) -> float:
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    linear = [
        v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4
        for v in (red / 255, green / 255, blue / 255)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_in_light_and_dark(visit, site, dark):
    page = visit(site / "index.html", dark=dark)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(background) < 0.05) == dark
    for selector in (
        "h1",
        ".lead",
        ".about",
        "tbody a",
        ".half",
        ".tier",
        ".outcome",
        ".count",
        ".params",
    ):
        colour = page.evaluate(
            "(selector) => getComputedStyle(document.querySelector(selector)).color", selector
        )
        light, deep = sorted([luminance(colour), luminance(background)], reverse=True)
        assert (light + 0.05) / (deep + 0.05) >= 4.5, selector


@pytest.mark.parametrize("width", [320, 390, 768])
def test_no_page_is_wider_than_a_phone(visit, site, entries, width):
    for path in (site / "index.html", site / "entries" / f"{entries[3].entry_id}.html"):
        page = visit(path, width=width)
        page.wait_for_timeout(150)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page = visit(site / "index.html", width=width)
    shown = page.locator("th[data-column=map_at_r]").first
    box = shown.bounding_box()
    # The ranking metric is in sight without scrolling the table.
    assert box["x"] + box["width"] <= width


def test_a_hostile_name_stays_text(visit, site, entries, hostile):
    page = visit(site / "index.html")
    shown = plain(hostile)
    page.get_by_role("link", name=shown).first.wait_for()
    page.get_by_text("Filters", exact=True).click()
    page.select_option("#filter-loss", label=f"{shown} [their-dist]")
    assert names(page) == [f"{shown} [their-dist 2.0]"]
    page.locator("figure.cost").scroll_into_view_if_needed()
    page.locator("figure.cost svg").first.wait_for()
    assert page.locator("main img, main script, svg img").count() == 0
    assert page.title() == "Leaderboard"
    for entry in (entries[3], entries[4], entries[6]):
        page = visit(site / "entries" / f"{entry.entry_id}.html")
        page.locator("#course").scroll_into_view_if_needed()
        page.locator("figure.chart svg").first.wait_for()
        assert page.title() != "run" and page.locator("img[src=x]").count() == 0
        assert shown in page.locator("body").inner_text()


@pytest.mark.parametrize("groups", [1, 40])
def test_5000_entries_are_paged_and_how_long_they_take_is_printed(visit, site, tmp_path, groups):
    for part in ("assets", "vendor"):
        shutil.copytree(site / part, tmp_path / part)
    page_text = (site / "index.html").read_text("utf-8")
    start = page_text.index('id="board">') + len('id="board">')
    end = page_text.index("</script>", start)
    board = json.dumps(_enlarged(page_text[start:end], groups)).replace("<", "\\u003c")
    (tmp_path / "index.html").write_text(page_text[:start] + board + page_text[end:])
    page = visit(Path(tmp_path / "index.html"))
    opened = page.evaluate("performance.getEntriesByName('board-shown')[0].startTime")
    print(f"5,000 entries in {groups} groups: shown after {opened:.0f} ms")
    assert "5,000 rows" in page.locator("#count").inner_text()
    assert page.locator("tbody tr").count() == 25 * min(groups, 6)
    page.fill("#filter-text", "loss-4999")
    assert names(page) == ["loss-4999"]
    page.fill("#filter-text", "")
    sort_by(page, "losses")
    assert names(page)[0] == "loss-0"
    page.get_by_role("button", name="Last").first.click()
    first_group = [i for i in range(5000) if i % groups == 0]
    assert names(page)[-1] == f"loss-{first_group[-1]}"
    assert page.evaluate("document.activeElement.innerText") == "First"


def _enlarged(text: str, groups: int) -> dict:
    """The board of a site with 5,000 rows in place of its own."""
    board = json.loads(text)
    template, group = board["rows"][0], board["groups"][0]
    at = {name: i for i, name in enumerate(board["row"])}
    board["groups"] = [group | {"key": f"{i:012x}"} for i in range(groups)]
    board["rows"] = []
    for i in range(5000):
        row = list(template)
        row[at["id"]], row[at["group"]], row[at["rank"]] = (
            f"{i:016x}",
            i % groups,
            ["", 1 + i // groups],
        )
        row[at["losses"]], row[at["lossNames"]] = f"loss-{i}", [f"loss-{i % 50}"]
        board["rows"].append(row)
    return board
