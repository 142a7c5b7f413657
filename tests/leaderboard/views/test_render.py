"""What is shown: aligned and whole numbers at any width, and names that stay text everywhere."""

from __future__ import annotations

import csv
import functools
import io
import json
import re

import pytest
from rich.console import Console

from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.summary import summarise
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.comparison.verdict import verdicts
from dmlbench.leaderboard.entries.labels import plain
from dmlbench.leaderboard.views import table
from dmlbench.leaderboard.views.describe import show_entry
from dmlbench.leaderboard.views.explain import COLUMNS, POINTER, explanation
from dmlbench.leaderboard.views.export import (
    csv_cell,
    markdown,
    render_csv,
    render_json,
    render_markdown,
)
from dmlbench.leaderboard.views.latex import render_latex
from dmlbench.leaderboard.views.notes import notes
from dmlbench.leaderboard.views.render import render_rich
from dmlbench.leaderboard.views.summary_render import render_summary, summary_markdown

HOSTILE = "[red]x|y[/red]\n<b>&\x1b[31m\u202e**_z_**$^$"


def shown(
    entries, width=100, by="map_at_r", metrics=(), encoding="utf-8", explain=False, **options
):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, **options)
    render_rich(
        leaderboard_frame(entries, by), verdicts(entries, by), console, by, metrics, explain
    )
    file.seek(0)
    return file.read()


@pytest.fixture
def entries(make_entry):
    return board(make_entry)


def board(make_entry):
    return [
        make_entry("triplet", [0.50, 0.52, 0.51, 0.50, 0.52]),
        make_entry("multi-similarity", [0.55, 0.56, 0.57, 0.55, 0.57]),
        make_entry("triplet+multi-similarity", [0.58, 0.59, 0.58, 0.59, 0.58], combiner="wedl"),
        make_entry("circle", [0.20, 0.21, 0.19, 0.20], failed={4: "inf at step 7"}),
        make_entry("arcface", [1.0]),
        make_entry("broken", [], failed={0: "broken is NaN at step 40"}),
    ]


def cells(text, name):
    """The table's row whose losses column starts so."""
    (line,) = [x for x in text.splitlines() if re.match(rf" *(\d(–\d)?|–) +{name}  ", x)]
    return line


def test_rows_titles_and_notes(entries):
    text = shown(entries, width=190, explain=True)
    assert text.startswith("glyphs · zsl-v1 · resnet-mini, from scratch · recipe quick · 64-d")
    header = next(line for line in text.splitlines() if line.startswith("Rank"))
    assert header.split() == (
        "Rank Losses Combiner MAP@R R@1 R@2 R@4 R@8 R-Prec NMI Dim Trials Cost Entry".split()
    )
    assert "\nAll rows: tier checked.\n" in text
    expected = ["3", "triplet", "–", "51.0", "±", "1.2"]
    assert cells(text, "triplet").split()[:6] == expected
    assert cells(text, "arcface").split()[:4] == ["–", "arcface", "–", "100.0"]
    assert cells(text, "broken").split()[:5] == ["–", "broken", "–", "0.0", "0.0"]
    # A failed trial counts as 0, visibly: 80 over five.
    assert cells(text, "circle").split()[3] == "16.0" and " 4/5 " in cells(text, "circle")
    assert " 0/1 " in cells(text, "broken")
    lines = text.replace("\n  ", " ")
    assert (
        "circle: 4 of 5 trials completed, the others count as 0; seed 4 failed: inf at step 7"
    ) in lines
    assert "broken: 0 of 1 trials completed, the others count as 0; seed 0 failed: broken" in lines
    assert "2 of 6 rows are not ranked (needs --seeds 5); differences below" in lines
    assert "64 (2×32)" in text
    assert "wedl(triplet + multi-similarity) beats" in text.replace("\n  ", " ")


def below_the_table(text):
    """What is said after the verdicts, by line."""
    lines = text.splitlines()
    return lines[next(i for i, line in enumerate(lines) if line.startswith("! ")) :]


def test_the_note_of_many_failures_names_a_few(make_entry):
    row = make_entry("circle", [], failed={seed: f"NaN at step {seed}" for seed in range(900)})
    (note,) = [n for n in notes(leaderboard_frame([row]), "map_at_r") if "completed" in n]
    assert "seed 4 failed" in note and note.endswith("; and 895 more") and len(note) < 400


def test_below_a_table_are_at_most_three_lines_of_notes_and_where_the_rest_is(make_entry):
    entries = board(functools.partial(make_entry, protocol="zsl-v2"))
    found = below_the_table(shown(entries, width=120))
    assert len(found) == 5 and found[3] == "" and found[4] == POINTER
    assert found[0] == "! 2 rows with failed trials; `leaderboard show --explain` gives the reasons"
    assert found[2].startswith("! columns hidden to fit the terminal: ")


@pytest.mark.parametrize("explain", [False, True])
def test_a_board_of_the_first_protocol_says_that_it_is_not_to_be_relied_on(make_entry, explain):
    """On a terminal, in Markdown and in LaTeX; over datasets and of a single entry as well."""
    old, new = (
        [make_entry("a", [0.5, 0.51, 0.52], protocol=name)] for name in ("zsl-v1", "zsl-v2")
    )
    for entries, cautious in ((old, True), (new, False), ([*old, *new], True)):
        frame, summary = leaderboard_frame(entries), summarise(entries)
        file = io.StringIO()
        console = Console(file=file, width=100)
        render_summary(summary, console, explain)
        show_entry(entries[0], console)
        texts = [
            shown(entries, explain=explain),
            render_markdown(frame, [], explain=explain),
            render_latex(frame),
            summary_markdown(summary, explain),
            *file.getvalue().split("entry " + entries[0].entry_id),
        ]
        for text in texts:
            joined = " ".join(text.split())
            assert ("do not rely on rows of zsl-v1: its trials held the" in joined) == cautious


def test_dates_and_links_are_in_the_frame_and_in_no_table(make_entry):
    links = {"paper": "https://a.example/paper", "code": "https://a.example/code"}
    dated = make_entry("a", **links)
    trials = [t.model_copy(update={"finished_at": f"2026-01-0{3 - t.seed}T00:00:00Z"})
              for t in dated.trials]  # fmt: skip
    frame = leaderboard_frame([dated.model_copy(update={"trials": trials}), make_entry("b")])
    rows = frame.set_index("losses")[["date", "paper", "code"]].to_dict("index")
    assert rows["a"] == {"date": "2026-01-03T00:00:00Z", **links}
    assert rows["b"] == dict.fromkeys(("date", "paper", "code"))
    document = json.loads(render_json(frame, []))
    assert sorted(str(row["paper"]) for row in document["rows"]) == ["None", links["paper"]]
    (first, *_) = csv.DictReader(io.StringIO(render_csv(frame)))
    assert (first["date"], first["code"]) == ("2026-01-03T00:00:00Z", links["code"])
    for text in (render_markdown(frame, []), render_latex(frame)):
        assert "a.example" not in text and "2026-01-03" not in text


def test_the_only_problem_of_a_table_is_said_at_once(entries):
    text = shown(entries[:4], width=120)
    assert "circle: 4 of 5 trials completed, the others count as 0; seed 4 failed: inf" in text


def test_every_column_that_is_shown_is_explained_and_no_other(entries):
    for column in [*table.LEADING, *table.TRAILING]:
        assert column.title in COLUMNS
    text = shown(entries, width=190, explain=True).replace("\n", " ")
    assert "Rank: a range, which contains the row's true rank in MAP@R" in text
    assert "Metrics: in percent" in text and "Loss lr:" not in text and POINTER not in text
    assert "unverified, checked, recomputed, audited, reproduced, confirmed" in text


@pytest.mark.parametrize("protocol", ["zsl-v1", "zsl-v2"])
def test_at_most_three_notes_are_below_a_table(make_entry, protocol):
    rows = board(functools.partial(make_entry, protocol=protocol))

    def notes_in(**options):
        return [line for line in shown(rows, 60, **options).splitlines() if line.startswith("!")]

    few, every = notes_in(), notes_in(explain=True)
    assert len(few) == 3 < len(every)
    assert any("columns hidden" in line for line in few)
    assert any("ranked" in line for line in few) == (protocol == "zsl-v2")


@pytest.mark.parametrize("width", [60, 80, 100, 190])
def test_no_line_is_too_long_and_no_number_broken(entries, width):
    lines = shown(entries, width=width).splitlines()
    assert max(map(len, lines)) <= width
    rule = next(i for i, line in enumerate(lines) if line.startswith("──"))
    rows = [line for line in lines[rule + 1 :] if re.match(r" *\d ", line)][:3]
    numbers = [re.split("(?<!±)  ", re.split(r" – | wedl ", row, maxsplit=1)[1]) for row in rows]
    whole = {cell.strip() for row in numbers for cell in row} - {""}
    assert {"58.4 ± 0.7", "56.0 ± 1.2", "51.0 ± 1.2"} <= {re.sub(" +", " ", x) for x in whole}
    known = r"\d+\.\d ± +\d+\.\d|64.*|\d(/\d)?|12\.0 s wall|checked|[0-9a-f]{6}"
    assert all(re.fullmatch(known, x) for x in whole)
    assert any("columns hidden to fit the terminal" in line for line in lines) == (width < 190)


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_signs_and_points_stand_in_line(entries, width):
    lines = [line for line in shown(entries, width=width).splitlines() if " ± " in line]
    rows = [line for line in lines if re.match(r" *\d ", line)]
    assert len(rows) == 4
    assert len({tuple(m.start() for m in re.finditer("±", row)) for row in rows}) == 1


def test_a_console_too_narrow_for_a_number_still_shows_it_whole(entries):
    assert "58.4 ±  0.7" in shown(entries, width=30)


def test_the_best_ranked_value_is_bold_and_an_unranked_one_is_not(entries):
    text = shown(entries, width=140, force_terminal=True, color_system="standard")
    assert re.search(r"\x1b\[1m *58\.4 ±  0\.7", text)
    assert not re.search(r"\x1b\[1m *100\.0", text)


def test_ranks_are_ranges(make_entry):
    a, b = [0.5, 0.6, 0.55, 0.5, 0.6], [0.52, 0.58, 0.53, 0.53, 0.56]
    text = shown([make_entry("a", a), make_entry("b", b)])
    assert re.search(r"^ *1–2 +a", text, re.M) and re.search(r"^ *1–2 +b", text, re.M)
    assert re.search(r"the 2 ranked rows, differences below \d+\.\d points of MAP@R may", text)


def test_chosen_metrics(entries):
    text = shown(entries, metrics=["ami", "R@4"])
    header = next(line for line in text.splitlines() if line.startswith("Rank")).split()
    assert header[3:6] == ["MAP@R", "AMI", "R@4"] and "NMI" not in header
    with pytest.raises(UsageError, match="no metric 'amy'. Did|no metric 'amy' here. Did"):
        shown(entries, metrics=["amy"])


def test_each_group_shows_its_own_k(make_entry):
    other = make_entry(dataset="sop", ks=(1, 10, 100, 1000))
    text = shown([make_entry(), other], width=160)
    headers = [line.split()[3:8] for line in text.splitlines() if line.startswith("Rank")]
    assert headers == [
        ["MAP@R", "R@1", "R@2", "R@4", "R@8"],
        ["MAP@R", "R@1", "R@10", "R@100", "R@1000"],
    ]


def test_one_seed_everywhere(make_entry):
    text = shown([make_entry("a", [0.5]), make_entry("b", [0.4])])
    assert "±" not in text.split("In percent")[0]
    assert "no row is ranked (needs --seeds 5)" in text


def test_a_terminal_without_utf8(entries):
    text = shown(entries, encoding="ascii")
    assert "51.0 +/-  1.2" in text and text.isascii()


def test_plain_text():
    assert plain("a\x1b[31mb\x00\u202ec\ud800\r\nd\u2028e") == "a[31mbc d e"
    assert plain("x" * 300, 10) == "x" * 9 + "…"
    assert plain("Größe 尺寸") == "Größe 尺寸"


@pytest.fixture
def hostile(make_entry, make_component):
    losses = [make_component(HOSTILE, distribution="[bold]d[/bold]", params={"[i]": "`|"})]
    second = [make_component(HOSTILE, distribution="[bold]d[/bold]", params={"[i]": "b"})]
    return [
        make_entry(losses, failed={3: HOSTILE}, overrides={HOSTILE: HOSTILE}, submitter=HOSTILE),
        make_entry(second, combiner=HOSTILE),
        make_entry([make_component("=cmd|'/c calc'!A1")], combiner="@SUM(A1)"),
    ]


def _no_controls(text):
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\u2028\ud800-\udfff]", text)
    text.encode("utf-8")


def test_hostile_names_on_a_terminal(hostile):
    text = shown(hostile, width=200)
    _no_controls(text)
    assert "[red]x|y[/red] <b>&[31m**_z_**$^$" in text
    file = io.StringIO()
    show_entry(hostile[0], Console(file=file, width=200))
    _no_controls(file.getvalue())
    assert "[red]x|y[/red] <b>&[31m" in file.getvalue()


def test_hostile_names_in_markdown(hostile):
    frame = leaderboard_frame(hostile)
    text = render_markdown(frame, verdicts(hostile))
    _no_controls(text)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    pipes = {len(re.findall(r"(?<!\\)\|", line)) for line in rows}
    assert len(rows) == 2 + 3 and pipes == {14}
    outside = re.sub(r"\\[\W_]", "", text)
    assert not re.search(r"[<\[\]_`$]", outside)


def test_no_address_becomes_a_link():
    assert markdown("see www.evil.example, WWW.x") == "see www&#46;evil.example, WWW&#46;x"
    assert markdown("https://x") == "https&#58;//x"


def test_of_many_verdicts_those_that_separate_are_said_in_whole(make_entry):
    singles = [make_entry("a", [0.50, 0.51, 0.52]), make_entry("b", [0.40, 0.41, 0.42])]
    high = make_entry("a+b", [0.701, 0.712, 0.722], combiner="wel")
    low = make_entry("a+b", [0.101, 0.112, 0.122], combiner="rlw")
    same = [make_entry("a+b", [0.47, 0.54, 0.51], combiner=name) for name in ("sum", "dwa")]
    text = shown([*singles, *same, low, high], width=110)
    assert text.index("> wel(a + b) beats") < text.index("> rlw(a + b) is worse")
    brief = text[text.index("2 of 4 combinations do not differ") :]
    assert re.search(r"\n    sum\(a \+ b\): -0\.3 \(-.* to .*\), p = 1\.00, against a\n", brief)
    assert "> sum(a + b)" in shown([*singles, *same], width=110), "a few are all said"


def tuning_of(name, budget):
    return {
        "kind": "losses", "distribution": "dmlbench", "name": name, "setting_sha256": "a" * 64,
        "code_sha256": "b" * 64, "budget": budget, "seeds": [1000], "space": {}, "sampler": "none",
        "trials": [{"params": {}, "validation_map_at_r": 0.5, "reason": None, "train_seconds": 1.0}]
        * budget,
    }  # fmt: skip


def test_the_number_of_tuning_trials_is_a_column(make_entry):
    tried = make_entry("ms", [0.6, 0.61, 0.62], tuning=[tuning_of("ms", budget=5)])
    other = make_entry("triplet", [0.5, 0.51, 0.52])
    text = shown([tried, other], width=200)
    assert cells(text, "ms").split()[-6:-1] == ["5", "trials", "12.0", "s", "wall"]
    assert cells(text, "triplet").split()[-5:-1] == ["–", "12.0", "s", "wall"]
    assert "Tuning: how many settings" in shown([tried, other], width=200, explain=True)
    assert "\ntier checked, tuning: 5 trials.\n" in render_markdown(leaderboard_frame([tried]), [])
    assert "Tuning" not in shown([other], width=200)
    alike = [tried, make_entry("circle", [0.6, 0.61, 0.62], tuning=[tuning_of("circle", budget=5)])]
    text = shown(alike, width=200)
    assert (
        "Tuning" not in text and "All rows: single losses, tier checked, tuning: 5 trials" in text
    )


def test_what_is_missing_in_a_list_is_empty_in_csv():
    assert csv_cell([None, 0.02]) == "; 0.02"
    assert csv_cell([None, None]) == "" and csv_cell([]) == ""


def test_the_explanation_of_metrics_says_what_is_bold():
    (metrics,) = explanation("map_at_r", ["MAP@R"])
    (rank,) = explanation("map_at_r", ["Rank"])
    assert "is bold" in metrics and "is bold" not in rank


def test_hostile_names_in_csv(hostile):
    text = render_csv(leaderboard_frame(hostile))
    _no_controls(text)
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == 4 and len({len(row) for row in rows}) == 1
    assert not [cell for row in rows for cell in row if re.match(r"[=+@\t\r]|-[^0-9.]", cell)]
    assert [cell for row in rows for cell in row if cell.startswith("'=cmd")]


def test_hostile_names_in_json(hostile):
    document = json.loads(render_json(leaderboard_frame(hostile), verdicts(hostile)))
    assert len(document["rows"]) == 3 and len(document["verdicts"]) == 2


def test_csv_holds_fractions_that_read_back(entries):
    import pandas

    frame = leaderboard_frame(entries)
    again = pandas.read_csv(io.StringIO(render_csv(frame)))
    assert list(again.columns) == list(frame.columns)
    assert list(again["map_at_r"].fillna(-1)) == list(frame["map_at_r"].fillna(-1))
    assert again["rank_low"].isna().sum() == 2


def test_json_is_strict_and_has_rows_and_verdicts(entries):
    def refuse(name):
        raise AssertionError(name)

    text = render_json(leaderboard_frame(entries), verdicts(entries))
    document = json.loads(text, parse_constant=refuse)
    assert document["by"] == "map_at_r"
    rows = {row["losses"]: row for row in document["rows"]}
    assert rows["triplet"]["rank_low"] == rows["triplet"]["rank_high"] == 3
    assert isinstance(rows["triplet"]["rank_low"], int)
    assert rows["triplet"]["combiner"] is None
    assert rows["triplet"]["map_at_r"] == pytest.approx(0.51)
    assert rows["arcface"]["rank_low"] is None and rows["arcface"]["map_at_r_low"] is None
    assert rows["arcface"]["map_at_r"] == 1.0
    (verdict,) = document["verdicts"]
    assert verdict["outcome"] == "better" and verdict["difference"]["trials"] == [
        [0, s] for s in range(5)
    ]


def test_markdown_is_a_table_with_bold_best(entries):
    text = render_markdown(leaderboard_frame(entries), verdicts(entries), metrics=["recall_at_1"])
    assert "| Rank | Losses | Combiner | MAP@R | R@1 | Dim | Trials | Cost |" in text
    names = "| 1 | triplet + multi-similarity | wedl |"
    assert f"{names} **58.4 ± 0.7** | **78.4 ± 0.7** |" in text
    assert "| – | arcface | – | 100.0 | 100.0 | 64 | 1 | 12.0 s wall |" in text


def test_an_entry_in_full(make_entry):
    entry = make_entry("triplet+ms", combiner="wedl", failed={3: "ms is NaN at step 12"})
    file = io.StringIO()
    show_entry(entry, Console(file=file, width=80))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    for part in (entry.entry_id, "wedl(triplet + ms)", "seed 3 failed: ms is NaN at step 12",
                 "64 dimensions, from heads of 32, 32", "256 MiB", "torch=2.4",
                 "0.500"):  # fmt: skip
        assert part in text
    assert re.search(r"^ +0 +3 +36\.1 +70\.0 .* 50\.0 +55\.0", text, re.M)
    assert re.search(r"^mean +53\.2 .* 38\.2 +42\.0", text, re.M)
    assert "In the mean a failed trial counts as 0." in text.replace("\n", " ")


def test_a_new_column_is_on_the_terminal_in_markdown_and_in_latex(entries, monkeypatch):
    new = table.TableColumn(
        "fake", "Fake", lambda rows: [f"fake-{name}" for name in rows["losses"]], "losses"
    )
    monkeypatch.setattr(table, "TRAILING", [*table.TRAILING, new])
    frame = leaderboard_frame(entries)
    assert "fake-triplet" in shown(entries, width=250) and "fake-triplet" not in shown(entries, 100)
    document = render_markdown(frame, [])
    assert "| Fake |" in document and "| fake-triplet |" in document
    assert r"& fake-triplet \\" in render_latex(frame) and r"& Fake \\" in render_latex(frame)


def test_latex_has_rules_and_the_best_ranked_row_in_bold(entries):
    lines = render_latex(leaderboard_frame(entries)).splitlines()
    assert lines[0] == r"% Needs \usepackage{booktabs}."
    rules = [line for line in lines if line in (r"\toprule", r"\midrule", r"\bottomrule")]
    assert rules == [r"\toprule", r"\midrule", r"\bottomrule"]
    (best,) = [line for line in lines if r"\textbf{58.4 $\pm$ 0.7}" in line]
    assert best.startswith("1 & ") and " & wedl & " in best and best.count("textbf") == 1
    # One seed has no rank, so that its 100 % is not the best.
    (alone,) = [line for line in lines if "arcface" in line]
    assert r"& 100.0 &" in alone and r"\textbf" not in alone


def test_latex_prints_no_lead_bold_that_may_be_chance(make_entry):
    a, b = [0.5, 0.6, 0.55, 0.5, 0.6], [0.52, 0.58, 0.53, 0.53, 0.56]
    text = render_latex(leaderboard_frame([make_entry("a", a), make_entry("b", b)]))
    assert r"\textbf" not in text and "No row is significantly better than every other" in text


def test_rows_that_are_left_out_keep_their_part_in_ranks(make_entry):
    entries = board(functools.partial(make_entry, protocol="zsl-v2"))
    frame = leaderboard_frame(entries)
    file = io.StringIO()
    console = Console(file=file, width=120)
    render_rich(frame, verdicts(entries), console, keep=lambda rows: rows.iloc[1:2])
    text = file.getvalue()
    assert re.search(r"^ +2 +multi-similarity ", text, re.M) and "triplet +" not in text
    assert "All rows shown" not in text and "1 of 6 rows are shown" in text and "beats" not in text
    assert "2 of 6 rows are not ranked" in text


@pytest.mark.parametrize("width", [50, 80, 100, 140])
def test_no_name_is_broken_inside_a_word_and_the_id_is_there(make_entry, make_component, width):
    long = make_component("triplet", params={"mining": "semi-hard", "margin": 0.125})
    losses = [long, make_component("multi-similarity"), make_component("recall-at-k-surrogate")]
    entries = [make_entry(losses, combiner="uncertainty"), make_entry("contrastive")]
    text = shown(entries, width=width)
    for word in ("multi-similarity", "recall-at-k-surrogate", "mining=semi-hard)", "uncertainty"):
        assert word in text
    if width >= 80:
        header = next(line for line in text.splitlines() if line.startswith("Rank")).split()
        assert {"MAP@R", "R@1", "Entry"} <= {*header}
        assert all(entry.entry_id[:6] in text for entry in entries)


def test_names_stay_text_in_latex(make_entry):
    text = render_latex(leaderboard_frame([make_entry(r"\input{x}_%&$^~#", [0.5, 0.6])]))
    escaped = r"\textbackslash{}input\{x\}\_\%\&\$\textasciicircum{}\textasciitilde{}\#"
    assert f"& {escaped} &" in text
