"""A model of the processor instructions that machine code is made of, for vectors of 32 and 64 bytes.

It runs what objdump makes of the bytes, so neither the encodings nor their meanings are taken from the
machine's own assembler, and code for AVX-512 can be run anywhere.
"""

import ctypes
import ctypes.util
import re
import subprocess

import numpy as np

LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
LIBM.fmaf.restype, LIBM.fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3
LIBM.fma.restype, LIBM.fma.argtypes = ctypes.c_double, [ctypes.c_double] * 3
FUSED = {
    "ps": np.vectorize(LIBM.fmaf, otypes=[np.float32]),
    "pd": np.vectorize(LIBM.fma, otypes=[np.float64]),
}
FLOAT = {"ps": np.float32, "pd": np.float64}
WORD = {"ps": np.uint32, "pd": np.uint64, "d": np.uint32, "q": np.uint64}
SIGNED = {"d": np.int32, "q": np.int64}
ARITHMETIC = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
BITWISE = {
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "andn": lambda a, b: ~a & b,
}  # fmt: skip
COMPARED = {
    "eq": np.equal, "neq": np.not_equal, "lt_oq": np.less, "le_oq": np.less_equal, "gt_oq": np.greater,
    "ge_oq": np.greater_equal,
}  # fmt: skip
ROUNDED = [np.rint, np.floor, np.ceil, np.trunc]


def disassemble(code: bytes, path: str) -> list[tuple[int, str, list[str]]]:
    """Addresses, mnemonics and operands, in Intel's order."""
    with open(path, "wb") as file:
        file.write(code)
    text = subprocess.run(
        ["objdump", "-D", "-b", "binary", "-mi386:x86-64", "-M", "intel", "--no-show-raw-insn", path],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    lines = []
    for line in text.splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+(?:rex )?(\S+)\s*(.*)", line)
        if not match:
            continue
        address, name, rest = match.groups()
        target = re.search(r"# 0x([0-9a-f]+)", rest)
        operands = re.sub(r"\s*#.*", "", rest)
        if target:
            operands = re.sub(r"\[rip\+0x[0-9a-f]+\]", f"[pool+0x{target.group(1)}]", operands)
        lines.append((int(address, 16), name, [o for o in operands.split(",") if o]))
        if name == "ret":
            break
    return lines


class Processor:
    """Runs a routine's code over places: arrays of bytes, one vector after the other."""

    def __init__(self, code: bytes, places: list[np.ndarray], size: int) -> None:
        self.code = np.frombuffer(code, np.uint8)
        self.places, self.size = places, size
        self.frame = np.zeros(1 << 16, np.uint8)
        self.general: dict[str, object] = {"rdi": "table"}
        self.vectors = {k: np.zeros(64, np.uint8) for k in range(32)}
        self.masks = {k: np.zeros(16, bool) for k in range(8)}

    def memory(self, operand: str, count: int) -> np.ndarray:
        inside = re.search(r"\[(.*)\]", operand).group(1)
        base, offset = "", 0
        for part in inside.split("+"):
            if part.startswith("0x"):
                offset += int(part, 16)
            elif part == "rax*1":
                offset += self.general["rax"]
            elif part != "riz*1":
                base = part
        if base == "pool":
            return self.code[offset : offset + count]
        if base == "rsp":
            return self.frame[offset : offset + count]
        return self.places[self.general[base]][offset : offset + count]

    def read(self, operand: str, kind: str) -> np.ndarray:
        """Elements of a register or memory, in the vector's length."""
        operand = re.sub(r"\{k\d\}|\{z\}", "", operand)
        size, item = self.size, np.dtype(kind).itemsize
        if re.match(r"[yz]mm", operand):
            return self.vectors[int(operand[3:])][:size].view(kind).copy()
        if "BCST" in operand or "{1to" in operand:
            return np.repeat(self.memory(operand, item).view(kind), size // item)
        return self.memory(operand, size).view(kind).copy()

    def write(self, operand: str, values: np.ndarray) -> None:
        raw = values.view(np.uint8)
        where = re.match(r"([yz])mm(\d+)(?:\{k(\d)\})?(\{z\})?", operand)
        if not where:
            self.memory(operand, self.size)[:] = raw
            return
        register = self.vectors[int(where.group(2))]
        if where.group(3):
            keep = np.repeat(self.masks[int(where.group(3))][: len(values)], values.itemsize)
            raw = np.where(keep, raw, 0 if where.group(4) else register[: self.size])
        register[:] = 0
        register[: self.size] = raw

    def step(self, name: str, o: list[str]) -> None:
        """One instruction that is no jump."""
        if name in ("push", "pop", "nop", "vzeroupper", "int3", "ret") or (name == "and" and o[0] == "rsp"):
            return
        if name == "mov":
            return self.move(*o)
        if name == "xor":
            self.general["rax"] = 0
        elif name == "shl":
            self.general["rsi"] <<= int(o[1], 16)
        elif name == "add":
            if o[0] == "rax":
                self.general["rax"] += int(o[1], 16)
        elif name[0] == "k":
            two = [self.masks[int(x[1:])] for x in o[1:]]
            self.masks[int(o[0][1:])] = BITWISE[name[1:-1]](*two)
        else:
            self.vector(name, o)

    def move(self, to: str, source: str) -> None:
        if "[rdi" in source:
            number = re.search(r"0x([0-9a-f]+)", source)
            self.general[to] = int(number.group(1), 16) // 8 if number else 0
        elif "[r11]" in source:
            self.general[to] = self.memory(source, 8)
        elif "[rsp" in to:
            self.memory(to, 8)[:] = self.general[source]

    def vector(self, name: str, o: list[str]) -> None:
        fused = re.match(r"vf(n?)m(add|sub)(132|213|231)(p[sd])", name)
        if fused:
            minus, addend, form, kind = fused.groups()
            x = [self.read(operand, FLOAT[kind]) for operand in o[:3]]
            a, b, c = (x[int(d) - 1] for d in form)
            result = FUSED[kind](-a if minus else a, b, -c if addend == "sub" else c)
            return self.write(o[0], result)
        if match := re.match(r"vcmp(\w+?)(p[sd])$", name):
            a, b = (self.read(operand, FLOAT[match.group(2)]) for operand in o[1:3])
            truth = COMPARED[match.group(1)](a, b)
            if o[0][0] == "k":
                self.masks[int(o[0][1:])] = np.pad(truth, (0, 16 - len(truth)))
            else:
                self.write(
                    o[0],
                    np.where(truth, WORD[match.group(2)](-1 % 2 ** (8 * a.itemsize)), 0).astype(
                        WORD[match.group(2)]
                    ),
                )
            return
        if match := re.match(r"v(add|sub|mul|div)(p[sd])", name):
            return self.write(
                o[0], ARITHMETIC[match.group(1)](*(self.read(x, FLOAT[match.group(2)]) for x in o[1:]))
            )
        if match := re.match(r"v(min|max)(p[sd])", name):
            a, b = (self.read(x, FLOAT[match.group(2)]) for x in o[1:])
            return self.write(o[0], np.where(a < b if match.group(1) == "min" else a > b, a, b))
        if match := re.match(r"v(andn|and|or|xor)(p[sd])", name):
            return self.write(
                o[0], BITWISE[match.group(1)](*(self.read(x, WORD[match.group(2)]) for x in o[1:]))
            )
        if match := re.match(r"vpternlog([dq])", name):
            a, b, c = (self.read(x, WORD[match.group(1)]) for x in o[:3])
            return self.write(o[0], ternary(int(o[3], 16), a, b, c))
        if match := re.match(r"vp(add|sub)([dq])", name):
            return self.write(
                o[0], ARITHMETIC[match.group(1)](*(self.read(x, WORD[match.group(2)]) for x in o[1:]))
            )
        if match := re.match(r"vps(ll|rl|ra)([dq])", name):
            way, kind = match.groups()
            x = self.read(o[1], (SIGNED if way == "ra" else WORD)[kind])
            by = x.dtype.type(int(o[2], 16))
            return self.write(o[0], x << by if way == "ll" else x >> by)
        if match := re.match(r"vblendm(p[sd])", name):
            no, yes = (self.read(x, WORD[match.group(1)]) for x in o[1:3])
            mask = self.masks[int(re.search(r"\{k(\d)\}", o[0]).group(1))][: len(no)]
            return self.write(re.sub(r"\{.*", "", o[0]), np.where(mask, yes, no))
        if match := re.match(r"vblendv(p[sd])", name):
            no, yes, truth = (self.read(x, WORD[match.group(1)]) for x in o[1:4])
            return self.write(o[0], np.where(truth >> truth.dtype.type(8 * truth.itemsize - 1) != 0, yes, no))
        if match := re.match(r"v(?:rndscale|round)(p[sd])", name):
            return self.write(o[0], ROUNDED[int(o[2], 16) & 3](self.read(o[1], FLOAT[match.group(1)])))
        if match := re.match(r"vsqrt(p[sd])", name):
            return self.write(o[0], np.sqrt(self.read(o[1], FLOAT[match.group(1)])))
        if match := re.match(r"vmov[ua](p[sd])", name):
            return self.write(o[0], self.read(o[1], WORD[match.group(1)]))
        if match := re.match(r"vbroadcast(s[sd])", name):
            kind = WORD["p" + match.group(1)[1]]
            one = self.memory(o[1], np.dtype(kind).itemsize).view(kind)
            return self.write(o[0], np.repeat(one, self.size // one.itemsize))
        if name == "vcvtdq2ps":
            return self.write(o[0], self.read(o[1], np.int32).astype(np.float32))
        if name == "vcvtqq2pd":
            return self.write(o[0], self.read(o[1], np.int64).astype(np.float64))
        raise NotImplementedError(f"{name} {o}")


def ternary(table: int, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Bit by bit what the table says of the bits of a (its high digit), b and c."""
    result = np.zeros_like(a)
    for row in range(8):
        if table >> row & 1:
            terms = [x if row >> (2 - k) & 1 else ~x for k, x in enumerate((a, b, c))]
            result |= terms[0] & terms[1] & terms[2]
    return result


def run(code: bytes, places: list[np.ndarray], size: int, turns: int, path: str) -> None:
    """Runs `turns` turns of the code, on vectors of `size` bytes; what it stores is stored in `places`."""
    lines = disassemble(code, path)
    index = {address: k for k, (address, _, _) in enumerate(lines)}
    processor = Processor(code, places, size)
    processor.general["rsi"] = turns
    at = 0
    with np.errstate(all="ignore"):
        while at < len(lines):
            _, name, operands = lines[at]
            at += 1
            if name == "jb":
                if processor.general["rax"] < processor.general["rsi"]:
                    at = index[int(operands[0], 16)]
            elif name != "cmp":
                processor.step(name, operands)
