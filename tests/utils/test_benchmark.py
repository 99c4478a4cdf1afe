"""Timer, Measurement and Compare: numbers of runs, statistics and tables."""

import pytest

import versant as vs
from versant.utils.benchmark import Compare, Measurement, TaskSpec, Timer


def measured(times: list[float], runs: int = 1, **words: object) -> Measurement:
    return Measurement(runs, [t * runs for t in times], TaskSpec("f(x)", "pass", **words))  # type: ignore[arg-type]


def test_a_timer_runs_setup_and_statement() -> None:
    seen: list[str] = []
    found = Timer("seen.append('x')", "seen.append('setup')", globals={"seen": seen}).timeit(100)
    assert found.number_per_run == 100
    assert len(found.raw_times) == 1
    assert (seen.count("setup"), seen.count("x")) == (2, 102)  # two runs to warm up


def test_threads_are_those_asked_for_and_set_back() -> None:
    counts: list[int] = []
    before = vs.get_num_threads()
    Timer("counts.append(torch.get_num_threads())", globals={"counts": counts}, num_threads=2).timeit(1)
    assert set(counts) == {2}
    assert vs.get_num_threads() == before


def test_autorange_runs_for_the_time_asked_for() -> None:
    found = Timer("sum(range(100))").blocked_autorange(min_run_time=0.02)
    assert sum(found.raw_times) >= 0.02
    assert found.raw_times[0] >= 1e-6


def test_statistics() -> None:
    found = measured([1e-3, 2e-3, 3e-3, 4e-3, 5e-3], runs=10, label="add")
    assert (found.median, found.mean) == pytest.approx((3e-3, 3e-3))
    assert found.iqr == pytest.approx(2e-3)
    assert found.has_warnings
    assert not found.meets_confidence()
    assert "Median: 3.00 ms" in repr(found)
    assert "5 measurements, 10 runs per measurement, 1 thread" in repr(found)


def test_a_table() -> None:
    rows = [
        measured([time], label="add", sub_label=size, description=how)
        for size, how, time in [("3", "one", 2e-6), ("3", "two", 4e-6), ("9", "two", 1.25e-5)]
    ]
    text = str(Compare(rows)).splitlines()
    assert text[0].strip("[]-").strip() == "add"
    assert [cell.strip() for cell in text[1].split("|")] == ["", "one", "two"]
    assert text[2].startswith("1 threads: ---")
    assert [cell.strip() for cell in text[3].split("|")] == ["3", "2.0", "4.0"]
    assert [cell.strip() for cell in text[4].split("|")] == ["9", "", "12.5"]
    assert text[-1] == "Times are in microseconds (us)."
