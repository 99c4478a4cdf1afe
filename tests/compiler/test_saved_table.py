"""Every op of the table saved: value, gradients of both orders, bit for bit; or a refusal that is known."""

from pathlib import Path

import pytest
from compiler.saved_files import loaded, saved
from compiler.test_table import RECORDS, bytes_of, eager

import versant as vs
from versant import testing
from versant.compiler import CompileError

PYTHON = "calls Python"  # LAPACK and Fourier transforms, which numpy computes


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: r.name)
def test_saved_equals_eager(record, tmp_path: Path) -> None:
    for sample in testing.samples_of(record)[:2]:
        found = eager(record, sample)
        if found is None:
            continue
        function, expected = found
        compiled = vs.compile(lambda function=function: function())
        vs.manual_seed(0)
        compiled()
        try:
            data = saved(compiled, tmp_path)
        except CompileError as error:
            if PYTHON in str(error):
                continue
            raise
        program = loaded(data, tmp_path)
        for _ in range(2):
            vs.manual_seed(0)
            assert bytes_of(program()) == expected, sample
