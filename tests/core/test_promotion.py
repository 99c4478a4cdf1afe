"""Dtype promotion: every pair of dtypes between tensors with axes, tensors without, and Python numbers.

The tables were computed with PyTorch 2.13. One letter stands for a dtype, in the order of CODES; a row is the
left operand, a column the right one.
"""

import pytest

import versant as vs

CODES = {
    "b": vs.bool, "B": vs.uint8, "c": vs.int8, "s": vs.int16, "i": vs.int32, "l": vs.int64,
    "h": vs.float16, "v": vs.bfloat16, "f": vs.float32, "d": vs.float64,
}  # fmt: skip

EQUAL_RANKS = """
    bBcsilhvfd BBssilhvfd cscsilhvfd ssssilhvfd iiiiilhvfd
    llllllhvfd hhhhhhhffd vvvvvvfvfd fffffffffd dddddddddd
"""
# A tensor without axes matters only when its kind (bool, integer, floating point) is higher.
WITHOUT_AXES_RIGHT = """
    bBcsilhvfd BBBBBBhvfd cccccchvfd sssssshvfd iiiiiihvfd
    llllllhvfd hhhhhhhhhh vvvvvvvvvv ffffffffff dddddddddd
"""
NUMBERS = {True: "bBcsilhvfd", 3: "lBcsilhvfd", 2.5: "ffffffhvfd"}
DIVISION = """
    ffffffhvfd ffffffhvfd ffffffhvfd ffffffhvfd ffffffhvfd
    ffffffhvfd hhhhhhhffd vvvvvvfvfd fffffffffd dddddddddd
"""
CAN_CAST = "1111111111 " + "0111111111 " * 5 + "0000001111 " * 4


def pairs(table: str):
    for left, row in zip(CODES.values(), table.split(), strict=True):
        for right, result in zip(CODES.values(), row, strict=True):
            yield left, right, CODES[result]


@pytest.mark.parametrize("shape", [(2,), ()], ids=["axes", "no axes"])
def test_tensors_of_equal_rank(shape) -> None:
    for left, right, expected in pairs(EQUAL_RANKS):
        x, y = vs.ones(shape, dtype=left), vs.ones(shape, dtype=right)
        assert (x + y).dtype is expected, (left, right)
        assert vs.result_type(x, y) is expected, (left, right)
        assert vs.promote_types(left, right) is expected, (left, right)


def test_a_tensor_without_axes_is_weak() -> None:
    for strong, weak, expected in pairs(WITHOUT_AXES_RIGHT):
        x, y = vs.ones(2, dtype=strong), vs.ones((), dtype=weak)
        assert (x + y).dtype is expected, (strong, weak)
        assert (y + x).dtype is expected, (strong, weak)
        assert vs.result_type(y, x) is expected, (strong, weak)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("shape", [(2,), ()], ids=["axes", "no axes"])
def test_python_numbers_are_weak(shape, number) -> None:
    for dtype, result in zip(CODES.values(), NUMBERS[number], strict=True):
        x = vs.ones(shape, dtype=dtype)
        assert (x + number).dtype is CODES[result], dtype
        assert (number + x).dtype is CODES[result], dtype
        assert vs.result_type(number, x) is CODES[result], dtype


def test_division_gives_floating_point() -> None:
    for left, right, expected in pairs(DIVISION):
        assert (vs.ones(2, dtype=left) / vs.ones(2, dtype=right)).dtype is expected, (left, right)
    for number in NUMBERS:
        for dtype, result in zip(CODES.values(), "ffffffhvfd", strict=True):
            assert (vs.ones(2, dtype=dtype) / number).dtype is CODES[result], (dtype, number)


def test_comparisons_give_bool_and_compare_in_the_promoted_dtype() -> None:
    for left, right, _ in pairs(EQUAL_RANKS):
        result = vs.ones(2, dtype=left) == vs.ones(2, dtype=right)
        assert result.dtype is vs.bool
        assert result.all()
    # 2**53 + 1 is no float64, nor is it compared as one with an integer.
    assert (vs.tensor([2**53 + 1]) > vs.tensor([2**53])).item()


def test_can_cast_never_lowers_the_kind() -> None:
    for from_, row in zip(CODES.values(), CAN_CAST.split(), strict=True):
        for to, allowed in zip(CODES.values(), row, strict=True):
            assert vs.can_cast(from_, to) is (allowed == "1"), (from_, to)


def test_in_place_ops_refuse_to_lower_the_kind() -> None:
    for target, other, promoted in pairs(EQUAL_RANKS):
        x = vs.ones(2, dtype=target)
        if vs.can_cast(promoted, target):
            x += vs.ones(2, dtype=other)
            assert x.dtype is target
        else:
            with pytest.raises(RuntimeError, match="can't be cast"):
                x += vs.ones(2, dtype=other)


def test_the_default_dtype_rules_python_floats() -> None:
    assert vs.result_type(1, 2.5) is vs.float32
    vs.set_default_dtype(vs.float64)
    try:
        assert vs.result_type(1, 2.5) is vs.float64
        assert (vs.ones(2, dtype=vs.int32) + 2.5).dtype is vs.float64
        assert (vs.ones(2, dtype=vs.int32) / 2).dtype is vs.float64
        assert (vs.ones(2, dtype=vs.float16) + 2.5).dtype is vs.float16
        assert vs.tensor([1.5]).dtype is vs.zeros(1).dtype is vs.float64
    finally:
        vs.set_default_dtype(vs.float32)


def test_numbers_wrap_around_in_narrow_integers() -> None:
    assert (vs.ones(1, dtype=vs.uint8) + 300).tolist() == [45]
    assert (vs.ones(1, dtype=vs.uint8) - 2).tolist() == [255]
    assert (vs.tensor([127], dtype=vs.int8) + 1).tolist() == [-128]
    assert (vs.tensor([2**63 - 1]) + 1).tolist() == [-(2**63)]
