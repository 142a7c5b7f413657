"""Embeddings of other tools' files: every format gives the same numbers, and says what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from words import refused

from dmlbench.cli import cli
from dmlbench.errors import UsageError
from dmlbench.evaluate import read_labelled, retrieval, score_labelled
from dmlbench.evaluate.label_values import check_labels, numbered
from dmlbench.statistics.bootstrap import class_intervals


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 5)
    rows = rng.normal(size=(12, 6))[labels] + 1.2 * rng.normal(size=(60, 6))
    return rows.astype(np.float16), labels


def write(folder, kind, rows, labels, name="given"):
    """A file of embeddings of this kind; for .npy, the labels beside it."""
    path = folder / f"{name}.{kind}"
    if kind == "safetensors":
        from safetensors.numpy import save_file

        save_file({"embeddings": rows, "labels": labels}, path)
    elif kind == "npz":
        np.savez(path, embeddings=rows, labels=labels)
    elif kind == "npy":
        np.save(path, rows)
        np.save(folder / f"{name}-labels.npy", labels)
        return path, folder / f"{name}-labels.npy"
    else:
        table = pd.DataFrame(
            rows.astype(np.float32), columns=[f"e{i}" for i in range(rows.shape[1])]
        )
        table.insert(0, "path", [f"{i}.jpg" for i in range(len(rows))])
        table["label"] = labels
        if kind == "csv":
            table.to_csv(path, index=False)
        else:
            pytest.importorskip("pyarrow")
            table.to_parquet(path)
    return path, None


KINDS = ["safetensors", "npz", "npy", "csv", "parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_metrics(tmp_path, data, kind):
    expected = retrieval(*data)
    found = score_labelled(read_labelled(*write(tmp_path, kind, *data)), cluster=False)
    for name in ("map_at_r", "r_precision", "knn_accuracy"):
        assert found.metrics[name].mean == pytest.approx(getattr(expected, name), abs=1e-12)
    assert found.metrics["recall_at_8"].mean == expected.recall_at[8]
    assert (found.num_queries, found.num_classes, found.dimension) == (60, 12, 6)
    assert found.num_gallery is None


def test_they_are_those_of_pytorch_metric_learning(tmp_path, data):
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    path, _ = write(tmp_path, "csv", *data)
    found = score_labelled(read_labelled(path), cluster=False).metrics
    theirs = AccuracyCalculator(
        include=("mean_average_precision_at_r", "r_precision", "precision_at_1"),
        k="max_bin_count",
        knn_func=CustomKNN(CosineSimilarity()),
        device=torch.device("cpu"),
    ).get_accuracy(torch.from_numpy(data[0].astype(np.float64)), torch.from_numpy(data[1]))
    assert 0.1 < found["map_at_r"].mean < 0.9
    assert found["map_at_r"].mean == pytest.approx(theirs["mean_average_precision_at_r"], abs=1e-6)
    assert found["r_precision"].mean == pytest.approx(theirs["r_precision"], abs=1e-6)
    assert found["recall_at_1"].mean == pytest.approx(theirs["precision_at_1"], abs=1e-6)


def test_an_npy_file_stays_a_memory_map(tmp_path, data):
    found = read_labelled(*write(tmp_path, "npy", *data))
    assert isinstance(found.embeddings, np.memmap) and found.embeddings.dtype == np.float16


def test_bfloat16_is_read(tmp_path, data):
    from safetensors.torch import save_file

    rows = torch.from_numpy(data[0]).bfloat16()
    save_file({"embeddings": rows, "labels": torch.from_numpy(data[1])}, tmp_path / "b.safetensors")
    found = read_labelled(tmp_path / "b.safetensors")
    np.testing.assert_array_equal(found.embeddings, rows.float().numpy())


def test_a_gallery_of_another_file_and_kind_is_searched(tmp_path, data):
    rows, labels = data
    queries = read_labelled(*write(tmp_path, "csv", rows[::5], labels[::5], "queries"))
    rest = np.arange(60) % 5 != 0
    gallery = read_labelled(*write(tmp_path, "npz", rows[rest], labels[rest], "gallery"))
    found = score_labelled(queries, gallery, cluster=False)
    expected = retrieval(rows[::5], labels[::5], rows[rest], labels[rest])
    assert found.metrics["map_at_r"].mean == pytest.approx(expected.map_at_r)
    assert (found.num_queries, found.num_gallery) == (12, 48)


def test_labels_may_be_text_and_one_may_be_called_na(tmp_path, data):
    names = np.array(["NA", "null", "07", "7", *"abcdefgh"])[data[1]]
    found = score_labelled(read_labelled(*write(tmp_path, "csv", data[0], names)), cluster=False)
    assert found.num_classes == 12
    assert found.metrics["map_at_r"].mean == pytest.approx(retrieval(*data).map_at_r)


def test_text_and_numbers_of_two_sets_are_one_class_where_they_are_written_alike():
    one, other = numbered(np.array(["10", "-2", "10"]), np.array([-2, 10]))
    assert one.tolist() == [1, 0, 1] and other.tolist() == [0, 1]
    with pytest.raises(UsageError, match="'010'"):
        numbered(np.array(["010", "2"]), np.array([10, 2]))


def test_intervals_are_over_classes(data):
    """Of two classes, one always right and one never, the mean is 0, 1/2 or 1 in a resample."""
    labels = np.repeat([0, 1], 50)
    (found,) = class_intervals(np.array([(labels == 0).astype(float)]), labels, 1000)
    assert found == (0.5, 0.0, 1.0)
    (alone,) = class_intervals(np.ones((1, 4)), np.zeros(4), 1000)
    assert alone == (1.0, None, None)
    (many,) = class_intervals(
        np.array([(np.arange(4000) % 2).astype(float)]), np.arange(4000), 2000
    )
    # As many classes as queries: the interval of a mean of independent values.
    assert many.high - many.low == pytest.approx(2 * 1.96 * 0.5 / 4000**0.5, rel=0.1)


def bad_rows(rows):
    rows = rows.copy()
    rows[7, 2] = np.nan
    return rows


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda d, r, y: write(d, "npz", bad_rows(r), y)[0],
            "given.npz: embeddings hold NaN.* row 7",
        ),
        (lambda d, r, y: write(d, "npz", r, y[:-1])[0], "given.npz: labels: 59 labels for 60"),
        (lambda d, r, y: write(d, "npy", r, y)[0], "given.npy has no labels.*--labels"),
        (lambda d, r, y: write(d, "npz", r, y / 2)[0], "given.npz: labels: 0.5 in row 5"),
        (lambda d, r, y: write(d, "npz", r[:, 0], y)[0], "given.npz: embeddings have shape"),
        (lambda d, r, y: d / "none.npy", "There is no file .*none.npy"),
        (lambda d, r, y: d, "is not a file"),
    ],
    ids=["nan", "lengths", "no-labels", "half", "shape", "missing", "folder"],
)
def test_arrays_that_cannot_be_scored_are_refused_by_name(tmp_path, data, make, message):
    with pytest.raises(UsageError, match=message):
        read_labelled(make(tmp_path, *data))


@pytest.mark.parametrize(
    "text, message",
    [
        ("e0,e1\n1,2\n", "t.csv has no labels"),
        ("a,b\n1,2\n", "t.csv has no column label; it has a, b"),
        ("label,e0,e1\nx,1,2\ny,1,\n", "t.csv: the column e1 holds '' in row 1"),
        ("label,e0,e1\nx,1,2\n,1,3\n", "t.csv: the column label: the label in row 1 .* is empty"),
        ("label,e0,e2\nx,1,2\n", "t.csv: of the columns e0, ... number 1 is missing"),
        ("label,e0,x0\nx,1,2\n", "t.csv: the columns of the embedding .* e0, ..., x0, ..."),
        ("label,e0,e1\nx,1,nan\n", "t.csv: the column e1 holds 'nan' in row 0"),
        ("label\nx\n", "t.csv: the columns .* none is"),
        ("label,e0\n", "t.csv has no row"),
        ("", "t.csv is not a CSV file"),
        ("label,e0\nx,1\ny,2,3,4\n", "t.csv is not a CSV file"),
    ],
)
def test_tables_that_cannot_be_scored_are_refused_by_name(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_labelled(tmp_path / "t.csv")


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "csv", "txt", "parquet"])
def test_a_file_of_another_content_is_refused(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"x.{kind}"
    path.write_bytes(b"\x80\x04\x95\x00pickle PK\x03\x04")
    with pytest.raises(UsageError, match=f"x.{kind}"):
        read_labelled(path)


def test_pickled_arrays_are_refused(tmp_path, data):
    np.savez(tmp_path / "p.npz", embeddings=data[0], labels=np.array(["a", 1] * 30, dtype=object))
    with pytest.raises(UsageError, match="p.npz.*allow_pickle"):
        read_labelled(tmp_path / "p.npz")


def test_labels_with_holes_are_refused():
    for values in ([1.0, np.nan], [1.5], [[1]], ["a", None], np.array([1 + 2j])):
        with pytest.raises(UsageError, match="^here"):
            check_labels(np.array(values) if not isinstance(values, list) else values, "here")


def test_the_command_prints_every_metric_and_json(tmp_path, data):
    path, labels = write(tmp_path, "npy", *data)
    run = CliRunner().invoke(cli, ["evaluate", str(path), "--labels", str(labels)])
    assert run.exit_code == 0, run.output
    assert "From 12 classes an interval is too narrow" in run.stderr
    assert "60 queries of 12 classes search each other; 6 dimensions, cosine" in run.output
    assert all(name in run.output for name in ("Recall@1", "MAP@R", "R-Precision", "NMI", "AMI"))
    asked = ["--json", "--ks", "1,3", "--no-clustering", "--similarity", "euclidean"]
    run = CliRunner().invoke(cli, ["evaluate", str(path), "--labels", str(labels), *asked])
    found = json.loads(run.stdout)
    names = ["recall_at_1", "recall_at_3", "map_at_r", "r_precision", "knn_accuracy"]
    assert list(found["metrics"]) == names and found["similarity"] == "euclidean"
    one = found["metrics"]["map_at_r"]
    assert one["low"] < one["value"] < one["high"]
    assert one["value"] == retrieval(*data, metric="euclidean").map_at_r


@pytest.mark.parametrize(
    "options, message",
    [
        (["--ks", "0"], "--ks '0'"),
        (["--gallery-labels", "x.npy"], "--gallery-labels needs --gallery"),
        (["--labels", "{file}"], "has labels, and"),
    ],
)
def test_the_command_refuses_options_that_mean_nothing(tmp_path, data, options, message):
    path, _ = write(tmp_path, "csv", *data)
    options = [option.format(file=path) for option in options]
    run = CliRunner().invoke(cli, ["evaluate", str(path), *options])
    assert isinstance(run.exception, UsageError) and message in str(run.exception)


def test_a_gallery_of_another_width_or_twice_is_refused(tmp_path, data):
    rows, labels = data
    queries = read_labelled(*write(tmp_path, "npz", rows, labels))
    narrow = read_labelled(*write(tmp_path, "npz", rows[:, :3], labels, "narrow"))
    with refused(UsageError, "6", "narrow.npz", "3"):
        score_labelled(queries, narrow)
    np.savez(
        tmp_path / "b.npz", embeddings=rows, labels=labels, gallery=rows, gallery_labels=labels
    )
    both = read_labelled(tmp_path / "b.npz")
    assert score_labelled(both, cluster=False).metrics["recall_at_1"].mean == 1.0
    with refused(UsageError):
        score_labelled(both, queries)
    with refused(UsageError):
        score_labelled(queries, both)
