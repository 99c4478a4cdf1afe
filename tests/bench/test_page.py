"""The page: bars as long as their figures, nothing from outside, texts escaped, every chart described."""

from html.parser import HTMLParser

import pytest

from versant.bench import charts
from versant.bench.page import render

VOID = {"meta", "rect", "line", "br"}


def entry(title, cells, shares=None):
    return {
        "title": title,
        "about": f"about {title}",
        "cells": cells,
        "shares": shares or {},
        "disagreement": None,
    }


def timed(microseconds, **more):
    slices = [{"microseconds": microseconds * factor} for factor in (0.9, 1.0, 1.2)]
    return {"microseconds": microseconds, "slices": slices, **more}


def column(title, framework, compiles=False):
    about = {"title": title, "framework": framework, "peer": framework, "compiles": compiles}
    return about | {"what": f"how <{title}> runs", "version": "1.0", "threads": 2}


def size(package, required, import_ms):
    kept = {"import_ms": import_ms, "first_op_ms": import_ms + 1, "peak_bytes": 3e7}
    return kept | {"package_bytes": package, "required_bytes": required}


@pytest.fixture
def record():
    compiled = {
        "W1": timed(240.0, compile_seconds=12.0),
        "W13": timed(2e4, compile_seconds=3.0),
    }
    failed = {"error": "Traceback\n  in step\nRuntimeError: no <compiler> & no hope\n"}
    workloads = {
        "W1": entry(
            "line",
            {"versant": timed(4.0), "torch": timed(160.0), "torch-compile": compiled["W1"]},
            {"torch": 1 / 40},
        ),
        "W4": entry(
            "chain", {"versant": timed(100.0), "torch": timed(50.0), "torch-compile": failed}, {"torch": 2.0}
        ),
        "W13": entry("big", {"versant": timed(4e4), "torch": timed(6e4), "torch-compile": compiled["W13"]}),
        "W9": entry("gpt", {label: {"left_out": "left out, no time"} for label in ("versant", "torch")}),
    }
    return {
        "schema": 1,
        "when": "2030-01-02T03:04:05+00:00",
        "command": "versant bench --only 'W1 & <W4>'",
        "machine": {"cpu": "a <fast> one", "cores": 2, "memory": "8 GB", "system": "Linux", "git": "abc"},
        "threads": 2,
        "rounds": 3,
        "seconds": 0.05,
        "limit": 30,
        "took": 61.0,
        "slices": 9,
        "disturbed": 1,
        "columns": {
            "versant": column("Versant", "versant"),
            "torch": column("PyTorch", "torch"),
            "torch-compile": column("torch.compile", "torch", compiles=True),
        },
        "absent": {"jax": "jax is not installed"},
        "workloads": workloads,
        "footprint": {"versant": size(50e6, None, 30.0), "torch": size(750e6, 870e6, 900.0)},
        "peaks": {"W9": {"versant": {"bytes": 2e8}, "torch": {"bytes": 5e8}}},
    }


class Page(HTMLParser):
    """Collects the charts, by the name in their title, and checks that tags are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.bars, self.described, self.addresses, self.text = [], {}, {}, [], ""
        self.inside = None
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [
            attributes[key] for key in ("src", "href", "xlink:href", "data") if key in attributes
        ]
        if tag == "svg":
            self.chart = attributes["aria-labelledby"].split()
            self.bars[self.chart[0].removesuffix("-title")] = []
        if tag in ("title", "desc") and "svg" in self.open and "g" not in self.open:
            assert attributes["id"] in self.chart
            self.described.setdefault(attributes["id"], "")
        if tag == "rect":
            self.bars[self.chart[0].removesuffix("-title")].append(
                (attributes["class"], float(attributes["width"]), float(attributes["data-value"]))
            )
        if tag not in VOID:
            self.open.append(tag)
            self.inside = attributes.get("id")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.inside = None

    def handle_data(self, data):
        self.text += data
        if self.inside in self.described:
            self.described[self.inside] += data


def test_bars_are_as_long_as_their_figures(record):
    bars = Page(render(record)).bars
    assert [kind for kind, _, _ in bars["step-W1"]] == ["bar versant", "bar torch", "bar torch compiled"]
    assert [value for _, _, value in bars["step-W1"]] == [4e-6, 160e-6, 240e-6]
    assert [kind for kind, _, _ in bars["step-W4"]] == ["bar torch", "bar versant"]  # the shortest is first
    for chart in bars.values():
        longest = max(chart, key=lambda bar: bar[1])
        for _, width, value in chart:
            assert width == pytest.approx(longest[1] * value / longest[2], abs=2e-3)
            assert 0 < width < charts.WIDTH - charts.FIGURES


def test_compile_latencies_share_a_scale(record):
    record["columns"]["tf-xla"] = column("XLA", "tf", compiles=True)
    record["workloads"]["W1"]["cells"]["tf-xla"] = timed(1.0, compile_seconds=6.0)
    bars = Page(render(record)).bars
    (slow, fast), (other,) = bars["compile-torch-compile"], bars["compile-tf-xla"]
    assert slow[1] == pytest.approx(4 * fast[1], abs=1e-2)
    assert slow[1] == pytest.approx(2 * other[1], abs=1e-2)


def test_nothing_comes_from_outside(record):
    text = render(record)
    assert Page(text).addresses == []
    for word in ("http", "//", "@import", "url(", "<script", "<link"):
        assert word not in text


def test_texts_are_escaped(record):
    text = render(record)
    for raw in ("<compiler>", "<fast>", "<W4>", "how <", " & no hope"):
        assert raw not in text
        assert raw in Page(text).text


def test_every_chart_is_described_and_stands_in_a_table_too(record):
    page = Page(render(record))
    for name in page.bars:
        assert page.described[f"{name}-title"]
        assert "Versant: " in page.described[f"{name}-desc"] or name.startswith("compile")
    assert "PyTorch: 160 µs" in page.described["step-W1-desc"]
    for figure in ("4.00", "160", "240", "60,000", "750 MB", "870 MB"):
        assert f">{figure}<" in render(record)


def test_what_is_missing_has_a_reason(record):
    text = Page(render(record)).text
    assert "– torch.compile: RuntimeError: no <compiler> & no hope" in text
    assert "– Versant, PyTorch: left out, no time" in text
    assert "jax: jax is not installed" in text
    assert "Versant: built in place" in text


def test_a_busy_machine_is_mentioned_first(record):
    busy = "The machine was busy"
    assert busy in Page(render(record | {"slices": 9, "disturbed": 1})).text
    assert busy not in Page(render(record | {"slices": 11, "disturbed": 1})).text


def test_the_answer_says_where_we_are_behind(record):
    text = Page(render(record)).text
    assert "PyTorch needs more time than Versant in 1 of 2 workloads" in text
    assert "less in W4 (Versant needs 2.00× as much)" in text


def test_without_peers_the_page_says_how_to_see_them(record):
    for label in ("torch", "torch-compile"):
        del record["columns"][label]
        for workload in record["workloads"].values():
            workload["cells"].pop(label, None)
            workload["shares"] = {}
    del record["footprint"]["torch"], record["peaks"]["W9"]["torch"]
    text = Page(render(record)).text
    assert "No other framework was found" in text
    assert "No column that compiles was measured." in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.9e-6, "3.90 µs"),
        (99.96e-6, "100 µs"),
        (0.0009996, "1.00 ms"),
        (0.0446, "44.6 ms"),
        (12, "12.0 s"),
        (0, "0 µs"),
    ],
)
def test_times_have_three_digits_and_a_unit(value, text):
    assert charts.seconds(value) == text
