"""What compiled functions show of themselves: `ir()`, `plan()`, `graph_svg()`, `explain()`."""

import importlib.util
import logging
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
from compiler import small_functions

import versant as vs
from versant import nn
from versant.nn import functional as F

SVG = "{http://www.w3.org/2000/svg}"


def lines(function):
    """The text of each step, without what stands behind it."""
    text = re.sub(r" +#.*", "", function.ir())
    return [re.sub(r"^\[\d+\] | {4,5}", "", line) for line in text.splitlines() if line[:1] in "[ "]


def compiled(function, *args):
    made = vs.compile(function)
    made(*args)
    return made


# What a function of x and y, both float32[4], becomes.
EXPRESSIONS = {
    "signs bind as in Python": (lambda x, y: (x + y) * x - y / (x * y), "(%0 + %1) * %0 - %1 / (%0 * %1)"),
    "equal signs from the left": (lambda x, y: x - (y - x), "%0 - (%1 - %0)"),
    "calls": (lambda x, y: vs.maximum((x * y).tanh(), y), "max(tanh(%0 * %1), %1)"),
    "negative numbers": (lambda x, y: x * -2.0 + y, "%0 * -2.0 + %1"),
    "the sign of a sum": (lambda x, y: -(x + y), "-(%0 + %1)"),
    "choices": (lambda x, y: vs.where(x > y, x, 0.5), "select(%2, %0, 0.5)"),
    "numbers that are none": (lambda x, y: x * float("inf") + y, "%0 * inf + %1"),
}


@pytest.mark.parametrize("case", EXPRESSIONS)
def test_elementwise_steps_show_their_expression(case):
    function, expected = EXPRESSIONS[case]
    shown = lines(compiled(function, vs.ones(4), vs.ones(4)))
    assert shown[-1].partition(" = ")[2] == expected


def test_values_that_several_read_have_a_name():
    def f(x):
        y = x.exp() + 1
        return y * y, y.sin()

    assert lines(compiled(f, vs.ones(4))) == [
        "t0 = exp(%0) + 1",
        "%1: float32[4] = t0 * t0",
        "%2: float32[4] = sin(t0)",
    ]


def test_what_is_written_over_inputs_is_written_at_once():
    def f(x, y):
        a = x * 2
        x.add_(y)
        y.mul_(3)
        return a

    shown = lines(compiled(f, vs.ones(4), vs.ones(4)))
    assert shown == ["%2: float32[4] = %0 * 2", "%0, %1 = %0 + %1, %1 * 3"]


def test_what_was_joined_from_many_has_a_short_title():
    def f(x):
        for _ in range(20):
            x = x * 2 + 1
        return x

    text = compiled(f, vs.ones(4)).ir()
    assert "# mul+add+mul+add+mul+add+...+add (40 steps), " in text


MAKERS = [
    lambda a, b: a - (b - 0.5 * a),
    lambda a, b: (a + b).tanh() * -a,
    lambda a, b: a / (b * b + 1.5),
    lambda a, b: vs.maximum(a, b).sin() - (a + -2.0),
    lambda a, b: vs.where(a > b, a, b * 2),
    lambda a, b: (a * b * a).clamp(-3.0, 3.0),
]


@pytest.mark.parametrize("seed", range(40))
def test_the_text_computes_what_the_function_does(seed):
    rng = np.random.default_rng(seed)
    plan = [
        (int(rng.integers(8)), *map(int, rng.integers(0, 100, 2))) for _ in range(int(rng.integers(3, 30)))
    ]

    def f(x, y):
        values = [x, y]
        for kind, i, j in plan:
            a, b = values[i % len(values)], values[j % len(values)]
            if kind == 0:
                a.add_(b if b is not a else 1.0)
            elif kind == 1:
                b.mul_(a.sigmoid())
            else:
                values.append(MAKERS[kind - 2](a, b))
        return tuple(values)

    vs.manual_seed(seed)
    x, y = vs.randn(50), vs.randn(50)
    function = compiled(f, x.clone(), y.clone())
    names = {
        "tanh": vs.tanh,
        "sigmoid": vs.sigmoid,
        "sin": vs.sin,
        "max": largest,
        "min": least,
        "select": choice,
    }
    names |= {"v0": x.clone(), "v1": y.clone()}
    text = re.sub(r"(%\d+): \w+\[\d*\]", r"\1", "\n".join(lines(function)))
    result = function.ir().partition("return ")[2]
    found = eval_python(text, result, names)
    expected = f(x, y)
    assert [t._to_bytes() for t in found] == [t._to_bytes() for t in expected], function.ir()


def eval_python(text, result, names):
    """The value of `result` after the lines of a text, with v0 for %0."""
    exec(text.replace("%", "v"), names)
    # Arguments are returned under their names.
    return eval(result.replace("%", "v"), names | {"x": names["v0"], "y": names["v1"]})


def largest(a, b):
    return (
        vs.maximum(vs.as_tensor(a), vs.as_tensor(b)) if isinstance(a, vs.Tensor) else vs.maximum(b, b * 0 + a)
    )


def least(a, b):
    return -largest(-a, -b)


def choice(condition, a, b):
    return vs.where(condition != 0, a, b)


def test_views_are_told_from_the_whole():
    shown = lines(compiled(lambda x: x.t()[1:] * 2, vs.ones(3, 3)))
    assert shown == ["%1: float32[2, 3] = %0{float32[2, 3], strides (1, 3), offset 1} * 2"]


Pair = namedtuple("Pair", ["first", "second"])


@dataclass
class Batch:
    images: vs.Tensor
    label: str


def test_arguments_have_their_names():
    def f(x, *rest, pair, batch, options):
        return x + rest[0] + pair.second + batch.images + options["a"][0]

    function = vs.compile(f)
    t = vs.ones(2)
    batch = Batch(t.clone(), "cat")
    function(t, t.clone(), pair=Pair(1, t.clone()), batch=batch, options={"a": [t.clone()]})
    names = re.findall(r"^argument .*  (\S+)$", function.ir(), re.MULTILINE)
    assert names == ["x", "rest[0]", "pair.second", "batch.images", "options['a'][0]"]


def test_results_are_written_as_python_would():
    x = vs.ones(2)
    kept = vs.ones(3)

    def f(x):
        y = x + 1
        return {"again": [y, y], "pair": Pair(x, 1.5), "kept": kept, "none": (None,), "empty": []}

    shown = compiled(f, x).ir()
    expected = (
        "{'again': [%1, %1], 'pair': Pair(first=x, second=1.5), 'kept': kept, 'none': (None,), 'empty': []}"
    )
    assert f"return {expected}\n" in shown


def test_a_function_that_was_not_called_shows_nothing():
    function = vs.compile(lambda x: x)
    assert function.ir() == ""
    assert str(function.plan()) == ""
    assert function.plan().peak_bytes == 0
    ElementTree.fromstring(function.graph_svg())


@pytest.mark.parametrize("folder", ["versant", "versant/compiler"])
def test_lines_are_the_users_also_in_a_folder_of_our_name(tmp_path, folder):
    file = tmp_path / folder / "mine.py"
    file.parent.mkdir(parents=True)
    file.write_text("def f(x, mask=None):\n    y = x * 2\n    return y\n\ndef go(g, x):\n    g(x, x)\n")
    spec = importlib.util.spec_from_file_location("users_mine", file)
    mine = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mine)
    function = compiled(mine.f, vs.ones(3))
    assert f"{file}:2" in function.ir()
    mine.go(function, vs.ones(3))
    assert f"`mask` was None, now float32[3]; {file}:6" in function.explain()


# --- plans


def test_a_plan_counts_its_memory():
    def f(x):
        return (x.cumsum(0) * 2).cumsum(0)

    plan = compiled(f, vs.ones(100_000)).plan()
    (branch,) = plan.branches
    assert [[o.place for o in step.outputs] for step in branch.steps] == [
        ["returned"],
        ["over"],
        ["returned"],
    ]
    assert [step.live_bytes for step in branch.steps] == [400_000, 400_000, 800_000]
    assert plan.peak_bytes == 800_000 + plan.arena_bytes


def test_small_buffers_share_the_arena():
    def f(x, y):
        a = (x @ y).tanh()
        b = (a @ y) * a
        return (b @ x).exp()

    (branch,) = compiled(f, vs.ones(20, 20), vs.ones(20, 20)).plan().branches
    outputs = [step.outputs[0] for step in branch.steps]
    assert [o.place for o in outputs] == ["arena", "over", "arena", "over", "arena", "allocated"]
    assert branch.arena_bytes == branch.arena_live_bytes == 2 * 1600
    assert [o.offset for o in outputs] == [0, 0, 1600, 0, 1600, None]
    assert outputs[1].over == outputs[0].buffer
    assert [bool(step.micro_kernels) for step in branch.steps] == [False, True] * 3


def test_a_row_chain_is_told_and_holds_its_memory():
    weight = vs.ones(64, 64)

    def f(x):
        y = ((x @ weight).tanh() @ weight).tanh()
        return (y @ weight).exp()

    (branch,) = compiled(f, vs.ones(256, 64)).plan().branches
    assert [step.chain for step in branch.steps] == [0] * 6
    assert branch.arena_live_bytes == branch.arena_bytes == 3 * 256 * 64 * 4


def test_a_plan_says_whose_memory_is_written():
    weight = vs.ones(3)

    def f(x):
        weight.mul_(2)
        x[1:] += 1

    (branch,) = compiled(f, vs.ones(3)).plan().branches
    assert {o.owner for step in branch.steps for o in step.outputs if o.place == "bound"} == {"weight", "x"}
    assert branch.peak_bytes == branch.arena_bytes + branch.tile_bytes


# --- pictures


def boxes(svg):
    """The boxes of a picture with their classes: lines of text."""
    found = {}
    for group in ElementTree.fromstring(svg).iter(f"{SVG}g"):
        if group.find(f"{SVG}title") is not None:
            found["\n".join(t.text for t in group.findall(f"{SVG}text"))] = group.get("class")
    return found


def test_a_picture_shows_what_there_is(tmp_path):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = vs.optim.SGD(model.parameters(), lr=0.1)

    def step(x, y):
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    function = compiled(step, vs.ones(5, 4), vs.zeros(5, dtype=vs.int64))
    path = tmp_path / "step.svg"
    svg = function.graph_svg(path)
    assert path.read_text(encoding="utf-8") == svg
    found = {text.partition("\n")[0]: classes for text, classes in boxes(svg).items()}
    assert found["x"] == "box argument"
    assert found["model.0.weight"] == "box parameter"
    assert found["[0] multiply"] == "box forward"
    assert found["result"] == "box result"
    assert sum(classes.startswith("box backward") for classes in found.values()) >= 6
    assert f"{__file__.rpartition('/')[2]}:" in svg


@pytest.mark.parametrize("make", small_functions.ALL, ids=lambda make: make.__name__)
def test_boxes_do_not_overlap_and_every_line_ends_at_one(make):
    root = ElementTree.fromstring(make().graph_svg())
    rectangles = []
    for group in root.iter(f"{SVG}g"):
        if group.find(f"{SVG}title") is not None:
            rectangle = group.find(f"{SVG}rect")
            rectangles.append([float(rectangle.get(key)) for key in ("x", "y", "width", "height")])
    for i, (x, y, width, height) in enumerate(rectangles):
        for ox, oy, other_width, other_height in rectangles[:i]:
            assert x + width <= ox or ox + other_width <= x or y + height <= oy or oy + other_height <= y
    for line in root.iter(f"{SVG}path"):
        if "line" not in line.get("class"):
            continue
        numbers = [float(number) for number in re.findall(r"[\d.]+", line.get("d"))]
        for x, y in (numbers[:2], numbers[-2:]):
            assert any(rx <= x <= rx + w and ry - 0.2 <= y <= ry + h + 0.2 for rx, ry, w, h in rectangles)
    _, _, width, height = map(float, root.get("viewBox").split())
    assert all(x + w <= width and y + h <= height for x, y, w, h in rectangles)


def test_a_picture_of_hundreds_of_steps_is_drawn():
    layers = [nn.Linear(8, 8) for _ in range(40)]
    model = nn.Sequential(*layers)

    def step(x):
        model(x).square().mean().backward()

    function = compiled(step, vs.ones(4, 8))
    assert len(boxes(function.graph_svg())) > 300


# --- what changed


# The arguments of a first call and of a second one, and why the second is compiled anew.
CHANGES = {
    "a tensor instead of none": (lambda t: (t, None), lambda t: (t, t), "`mask` was None, now float32[2]"),
    "none instead of a tensor": (lambda t: (t, t), lambda t: (t, None), "`mask` was float32[2], now None"),
    "another number": (lambda t: (t, 1), lambda t: (t, 2), "`mask` was 1, now 2"),
    "another shape": (lambda t: (t,), lambda t: (t[:1],), "`x` was float32[2], now float32[1]"),
    "another shape within": (
        lambda t: (t, {"a": t}),
        lambda t: (t, {"a": t.double()}),
        "`mask['a']` was float32[2], now float64[2]",
    ),
    "one more": (lambda t: (t, [t]), lambda t: (t, [t, t]), "`mask[1]` was not there, now float32[2]"),
    "one less": (lambda t: (t, [t, 1]), lambda t: (t, [t]), "`mask[1]` was 1, now not there"),
    "another container": (lambda t: (t, [1]), lambda t: (t, (1,)), "`mask` was a list, now a tuple"),
    "another object": (
        lambda t: (t, object()),
        lambda t: (t, object()),
        "`mask` was an object of object, now another one",
    ),
    "another key": (lambda t: (t, {"a": 1}), lambda t: (t, {"b": 1}), "`mask['a']` was 1, now not there"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_explain_names_the_argument_that_changed(change):
    first, second, expected = CHANGES[change]

    @vs.compile
    def f(x, mask=None):
        return x + 1

    f(*(first(vs.ones(2))))
    here = sys._getframe().f_lineno + 1
    f(*(second(vs.ones(2))))
    (told,) = [line for line in f.explain().splitlines() if line.startswith("compiled again")]
    assert told.startswith(f"compiled again: {expected}; ")
    assert told.endswith(f"test_looking.py:{here}")


def test_explain_names_the_mode_that_changed():
    function = compiled(lambda x: x + 1, vs.ones(2))
    with vs.no_grad():
        function(vs.ones(2))
    assert "compiled again: gradient mode was True, now False; " in function.explain()


def test_explain_says_the_last_call_that_was_alike(caplog):
    function = vs.compile(lambda x: x + 1)
    with caplog.at_level(logging.INFO, logger="versant.compile"):
        for n in (2, 3, 4):
            function(vs.ones(n))
    assert "`x` was float32[3], now float32[4]" in caplog.messages[-1]
