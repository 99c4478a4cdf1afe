"""The text of a branch, as `ir()` prints it. Its grammar:

    branch      = title {source} {step} return ["backward" {incoming} {step} {outgoing}]
    source      = kind buffer ":" type [", requires_grad"] ["=" values] ["  " name]
    kind        = "argument" | "captured" | "gradient" | "constant"
    step        = "[" number "]" line "  # " op {", " remark} {line}
    line        = target {"," target} ("=" | "+=") expression {"," expression}
                | "expect" expression "==" number
                | name (".grad" | ".data" | ".requires_grad") "=" operand
                | call
    target      = buffer [view] [":" type] | "t" number
    expression  = operand | call | expressions with the signs of Python
    call        = op "(" [operand {"," operand}] {"; " numbers} ")"
    operand     = buffer [view] [".T"] | "t" number | number | name
    view        = "{" type [", strides " tuple] [", offset " number] "}"
    return      = "return" value [", with a history through " buffer {"," buffer}]
    incoming    = "incoming" buffer ":" type "of" buffer
    outgoing    = "outgoing" (buffer [view] | "None") "to" name
    type        = dtype "[" sizes "]"
    buffer      = "%" number

Steps stand in the order in which a replay takes them. A buffer is memory: the same number is the same memory,
and what is written to it stays until it is written again. A name is how the function reaches a tensor:
captured tensors are those that are no arguments, a gradient is one that was there before the call. A target
has a type where a whole buffer is written for the first time; a view says how a part of one is seen, with its
offset in elements. An elementwise step shows what it computes in micro-ops, with "t" for values that it reads
several times; its operands spread over axes as they do in Python, and targets on one line are written at
once. `expect` is a value that Python read: where it is another one, another branch is taken. Numbers behind
";" are what a primitive is told beside arrays. Remarks end with the user's lines: that of the call, or "back
from" that of the op whose gradient is computed.
"""

from __future__ import annotations

from typing import Any

from versant.compiler.record import Branch, Program, Step, Window, spreads

COMMENT_COLUMN = 64
MOST_INLINE = 56  # characters of a value that is written where it is used
MOST_LINES = 4  # of the user's program, behind a step
MOST_VALUES = 8  # of a constant
INFIX = {  # micro-op: sign, and how strongly it binds
    "add": ("+", 5), "sub": ("-", 5), "mul": ("*", 6), "div": ("/", 6), "floordiv": ("//", 6),
    "remainder": ("%", 6), "lt": ("<", 2), "le": ("<=", 2), "gt": (">", 2), "ge": (">=", 2),
    "eq": ("==", 2), "ne": ("!=", 2), "bitwise_and": ("&", 4), "bitwise_or": ("|", 3),
}  # fmt: skip
ATOM = 9


def branch_text(branch: Branch) -> str:
    """The branch in the grammar above."""
    record = branch.record
    lines = [branch.title]
    for i, argument in enumerate(record.arguments):
        head = f"argument {branch.name(argument.array.buffer)}"
        lines.append(f"{head}: {argument.array}{flags(argument.needs_grad)}  {branch.argument_names[i]}")
    lines += [line for b in branch.numbers for line in origin_lines(branch, b)]
    steps = [step_text(branch, s) for s in range(len(record.steps))]
    lines += steps[: record.forward_steps]
    lines.append(return_text(branch))
    if record.incoming:
        lines.append("backward")
        for k, incoming in enumerate(record.incoming):
            of = operand(branch, record.results[record.differentiable[k]])
            lines.append(f"incoming {branch.name(incoming.buffer)}: {incoming} of {of}")
        lines += steps[record.forward_steps :]
        for out in record.outgoing:
            name = branch.argument_names[out.argument] if out.argument >= 0 else ""
            name = name or branch.captured_names[out.captured]
            lines.append(f"outgoing {operand(branch, out.window) if out.window else 'None'} to {name}")
    return "\n".join(lines) + "\n"


def origin_lines(branch: Branch, b: int) -> list[str]:
    buffer = branch.record.buffers[b]
    head = f"{buffer.origin} {branch.name(b)}: {branch.forms[b]}" if b in branch.forms else ""
    if not head:
        return []
    if buffer.origin == "captured":
        needs_grad = branch.record.captured[buffer.index].needs_grad
        return [f"{head}{flags(needs_grad)}  {branch.owner(b)}"]
    if buffer.origin == "gradient":
        return [f"{head}  {branch.owner(b)}"]
    if buffer.origin == "constant":
        return [f"{head}{constant_text(buffer.value)}"]
    return []


def constant_text(value: Any) -> str:
    if value is None or value.numel() > MOST_VALUES:
        return ""
    return f" = {value.tolist()}"


def flags(needs_grad: bool) -> str:
    return ", requires_grad" if needs_grad else ""


def return_text(branch: Branch) -> str:
    record = branch.record
    parts = [p if isinstance(p, str) else operand(branch, record.results[p]) for p in branch.returns]
    text = "return " + "".join(parts)
    if record.differentiable:
        through = ", ".join(operand(branch, record.results[k]) for k in record.differentiable)
        text += f", with a history through {through}"
        text += ", which the function went back itself" if record.freed else ""
    return text


def operand(branch: Branch, window: Any) -> str:
    """A window or a number as it stands among the operands of a step."""
    if not isinstance(window, Window):
        return repr(window)
    if branch.is_whole(window):
        return branch.name(window.buffer)
    view = str(window)
    if not window.is_contiguous:
        view += f", strides {window.strides}"
    if window.offset:
        view += f", offset {window.offset // window.dtype.itemsize}"
    return f"{branch.name(window.buffer)}{{{view}}}"


def target(branch: Branch, s: int, window: Window) -> str:
    """A window as it stands where a step writes it."""
    text = operand(branch, window)
    is_new = branch.record.buffers[window.buffer].origin == "fresh" and branch.is_whole(window)
    for step in branch.record.steps[:s]:
        is_new = is_new and all(w.buffer != window.buffer for w in step.outputs)
    return f"{text}: {window}" if is_new else text


def step_text(branch: Branch, s: int) -> str:
    """Step `s` of a branch: its lines, with what it is behind the first."""
    step = branch.record.steps[s]
    first, *others = step_lines(branch, s)
    head = f"[{s}] "
    what = ", ".join([step.title, *remarks(step), *lines_of(step)])
    return "\n".join(
        [f"{head}{first}".ljust(COMMENT_COLUMN) + f"  # {what}", *(" " * len(head) + x for x in others)]
    )


def lines_of(step: Step) -> list[str]:
    """The user's lines, or the first and the last of many."""
    lines = step.lines
    return lines if len(lines) <= MOST_LINES else [*lines[: MOST_LINES - 2], "...", lines[-1]]


def remarks(step: Step) -> list[str]:
    found = []
    if step.in_place:
        found.append("in place")
    if step.program and any(str(w.dtype).rpartition(".")[2] != step.program.compute for w in step.windows):
        found.append(f"in {step.program.compute}")
    if step.kind == "host":
        found.append("calls back" if step.pure else "calls back, with effects")
    if step.random >= 0:
        since = "the way back began" if step.going_back else "the call began"
        found.append(f"draws from generator {step.stream}, {step.block} blocks since {since}")
    if step.reads and step.kind == "primitive":
        found.append("whose size is read")
    return found


def step_lines(branch: Branch, s: int) -> list[str]:
    step = branch.record.steps[s]
    if step.program:
        return program_lines(branch, s, step.program)
    ins = [operand(branch, w) for w in step.inputs]
    if step.kind == "read":
        value = bool(step.number) if step.truth else step.number
        return [f"expect {f'bool({ins[0]})' if step.truth else ins[0]} == {value!r}"]
    if step.kind in ("set_gradient", "set_data"):
        attribute = "grad" if step.kind == "set_gradient" else "data"
        return [f"{branch.captured_names[step.index]}.{attribute} = {ins[0] if ins else 'None'}"]
    if step.kind == "require_grad":
        return [f"{branch.captured_names[step.index]}.requires_grad = {step.truth}"]
    outs = ", ".join(target(branch, s, w) for w in step.outputs)
    if step.kind == "multiply":
        a, b = (name + (".T" if turned else "") for name, turned in zip(ins[:2], step.ints[:2], strict=True))
        bias = f" + {ins[2]}" if len(ins) > 2 else ""
        return [f"{outs} {'+=' if step.ints[2] else '='} multiply({a}, {b}){bias}"]
    if step.kind == "copy":
        return [f"{outs} = {ins[0]}"]
    if step.kind == "fill":
        return [f"{outs} = {step.number!r}"]
    if step.kind == "host":
        # Arguments are given as they are, by their numbers.
        ins = [operand(branch, w) if isinstance(w, Window) else branch.argument_names[w] for w in step.inputs]
    return [f"{outs} = " * bool(outs) + f"{step.name}({', '.join(ins)}{attributes(step)})"]


def attributes(step: Step) -> str:
    """What a primitive is told beside arrays; each says in its file what stands where."""
    ints = [str(i) for i in step.ints]
    if step.random >= 0:
        ints[step.random : step.random + 2] = ["seed", "block"]
    floats = list(step.floats)
    while floats and floats[-1] == 0:
        floats.pop()
    texts = [", ".join(ints), ", ".join(repr(x) for x in floats)]
    return "".join(f"; {text}" for text in texts if text)


# Programs ---------------------------------------------------------------------------------------------------


def program_lines(branch: Branch, s: int, program: Program) -> list[str]:
    """A line for each output, and before them for values that several read or that are long."""
    step = branch.record.steps[s]
    values = [(program_operand(branch, w), ATOM) for w in step.inputs]
    values += [(repr(c), ATOM if not repr(c).startswith("-") else 7) for c in program.constants]
    first = len(values)
    stored = len(step.outputs) - len(program.divisors)
    uses = [0] * (first + len(program.code))
    for register in (*(r for _, operands in program.code for r in operands), *program.outputs):
        uses[register] += 1
    read = {w.buffer for w in step.inputs if isinstance(w, Window)}
    lines = []
    written: set[int] = set()
    temporaries = 0
    for i, (micro, registers) in enumerate(program.code):
        register = first + i
        text, binds = micro_text(micro, [values[r] for r in registers])
        for k in range(stored):
            out = step.outputs[k]
            # Others may read the output by its name if it holds the value as it was computed.
            exact = str(out.dtype).rpartition(".")[2] == program.compute
            if program.outputs[k] == register and out.buffer not in read and (exact or uses[register] == 1):
                lines.append(f"{target(branch, s, out)} = {text}")
                text, binds = operand(branch, out), ATOM
                written.add(k)
                break
        else:
            if uses[register] > 1 or (len(text) > MOST_INLINE and register not in program.outputs):
                lines.append(f"t{temporaries} = {text}")
                text, binds = f"t{temporaries}", ATOM
                temporaries += 1
        values.append((text, binds))
    over: list[tuple[str, str]] = []  # what is written over inputs, all at once
    for k, out in enumerate(step.outputs):
        text = values[program.outputs[k]][0]
        if k in written:
            continue
        if k >= stored:
            divisor = program.divisors[k - stored]
            text = f"sum({text})" if divisor == 1 else f"sum({text}) / {divisor:g}"
        if out.buffer in read:
            over.append((target(branch, s, out), text))
        else:
            lines.append(f"{target(branch, s, out)} = {text}")
    if over:
        lines.append(" = ".join(", ".join(part) for part in zip(*over, strict=True)))
    return lines


def program_operand(branch: Branch, window: Any) -> str:
    """An operand of an elementwise step, where spreading over axes goes without saying."""
    if isinstance(window, Window) and spreads(branch.forms[window.buffer], window):
        return branch.name(window.buffer)
    return operand(branch, window)


def micro_text(micro: str, operands: list[tuple[str, int]]) -> tuple[str, int]:
    """An instruction as Python would write it, and how strongly it binds."""
    if micro in INFIX:
        sign, binds = INFIX[micro]
        (a, strength_a), (b, strength_b) = operands
        # Comparisons do not chain, and what stands on the right of a sign of equal strength is a whole.
        a = a if strength_a > binds or (strength_a == binds and binds > 2) else f"({a})"
        b = b if strength_b > binds else f"({b})"
        return f"{a} {sign} {b}", binds
    if micro == "neg":
        text, strength = operands[0]
        return (f"-{text}" if strength == ATOM else f"-({text})"), 7
    return f"{micro}({', '.join(text for text, _ in operands)})", ATOM
