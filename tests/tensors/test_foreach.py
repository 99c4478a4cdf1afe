"""Functions over lists of tensors against the methods of single ones."""

import pytest

import versant as vs


def lists():
    return [vs.tensor([1.0, 4.0]), vs.tensor([[9.0]])], [vs.tensor([2.0, 3.0]), vs.tensor([[-1.0]])]


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("mul", [0.5], {}),
        ("mul", [[2.0, 3.0]], {}),
        ("add", ["list"], {"alpha": 2.0}),
        ("sub", ["list"], {}),
        ("div", ["list"], {}),
        ("pow", [2], {}),
        ("lerp", ["list", 0.25], {}),
        ("addcdiv", ["list", "list"], {"value": -0.1}),
        ("addcmul", ["list", "list", [0.5, 2.0]], {}),
        ("maximum", ["list"], {}),
        ("maximum", [2.0], {}),
        ("minimum", ["list"], {}),
        ("sqrt", [], {}),
        ("sign", [], {}),
        ("neg", [], {}),
    ],
)
def test_lists(name, arguments, options) -> None:
    def of(i, argument, others):
        chosen = others if argument == "list" else argument
        return chosen[i] if isinstance(chosen, list) else chosen

    a, b = lists()
    given = [b if argument == "list" else argument for argument in arguments]
    expected = []
    for i, x in enumerate(a):
        values = [of(i, argument, b) for argument in arguments]
        more = dict(options)
        if name == "addcmul":
            more["value"] = values.pop()
        if name == "maximum" and not isinstance(values[0], vs.Tensor):
            values = [vs.tensor(values[0])]
        expected.append(getattr(x, name)(*values, **more).tolist())
    result = getattr(vs, f"_foreach_{name}")(a, *given, **options)
    assert [x.tolist() for x in result] == expected
    assert getattr(vs, f"_foreach_{name}_")(a, *given, **options) is None
    assert [x.tolist() for x in a] == expected


def test_norms_copies_and_zeros() -> None:
    a, b = lists()
    assert [x.item() for x in vs._foreach_norm(a, 1)] == [5, 9]
    vs._foreach_copy_(a, b)
    assert [x.tolist() for x in a] == [x.tolist() for x in b]
    vs._foreach_zero_(a)
    assert [x.tolist() for x in a] == [[0, 0], [[0]]]


def test_lists_of_different_lengths_and_names_that_are_none() -> None:
    a, b = lists()
    with pytest.raises(RuntimeError, match="same number of tensors, got 2 and 1"):
        vs._foreach_add_(a, b[:1])
    for name in ("_foreach_nothing", "_foreach_copy", "_foreach_norm_"):
        assert not hasattr(vs, name)
