"""Bessel functions of integer order and Airy's function.

Each is a polynomial, fitted at Chebyshev's points, in stretches near zero, and its asymptotic form with
fitted polynomials for the factors beyond (Abramowitz and Stegun 9.2.5, 9.6.11, 9.7.2, 10.4.59).
"""

from __future__ import annotations

import math
from functools import partial

from versant.ops.expression import m
from versant.ops.lazy import np
from versant.ops.record import elementwise
from versant.ops.references import airy_reference, each, hankel_reference, macdonald_reference
from versant.ops.samples import Domain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from versant.ops.expression import Expression

# Coefficients, of the highest power first, of polynomials over [-1, 1].
_COEFFICIENTS = """
    j0 4.00376e-13 -1.243301e-11 3.36344758e-10 -7.915323083e-9 1.59561091045e-7 -2.717749223632e-6
        3.8473197855944e-5 -0.00044354592243115 0.00405807898914099 -0.028472718610882047
        0.14598884856759264 -0.5074680458471 1.0383794611437211 -0.8080888076696872 -0.6484692830871837
        0.9303012472958572 0.04582966485981377
    y0 -8.8401e-13 2.692694e-11 -7.13046147e-10 1.6390875014e-8 -3.2185078446e-7 5.3213188104e-6
        -7.279541882454e-5 0.000806158605961636 -0.00702574105727097 0.046367047681375125
        -0.21895747096171628 0.6721770783431679 -1.0775477338215995 0.14412632369302475 1.6470964788745466
        -0.8284358903604587 -0.382250654459425
    p0 -1.02518e-13 3.455e-13 -1.01575e-12 4.67429e-12 -2.4911465e-11 1.55064095e-10 -1.212109818e-9
        1.2803747744e-8 -2.0527448261e-7 6.137416081284e-6 -0.000536367319212967 0.9994572757882519
    q0 -3.417306e-14 9.89402e-14 -2.0979724e-13 8.1725206e-13 -3.6050431e-12 1.70604047e-11 -9.469830663e-11
        6.4326989913e-10 -5.6687170175e-9 7.10621496533e-8 -1.47713883258945e-6 6.83314909934004e-5
        -0.01555511387951352
    j1 -4.00457e-13 1.1658972e-11 -2.9430138e-10 6.431190177e-9 -1.19670818679e-7 1.868452603721e-6
        -2.4045748659687e-5 0.000249494581359726 -0.0020290394945706 0.012456814392263375
        -0.05474581821284722 0.15858376432721838 -0.2595948652859303 0.15151665143806636 0.08105866038589796
        -0.05814382795599107
    y1 8.76e-13 -2.4995315e-11 6.16968803e-10 -1.3153147367e-8 2.38049304205e-7 -3.60100002259e-6
        4.4674330126464e-5 -0.000443817343442015 0.00342249073991885 -0.01962875683311711
        0.07854786922242532 -0.19639839859930203 0.23507209206669755 0.02336757172099348
        -0.24337743079193114 0.07075985882118005
    p1 1.09237e-13 -3.69724e-13 1.095483e-12 -5.071495e-12 2.7234513e-11 -1.71372796e-10 1.360296925e-9
        -1.470849845e-8 2.45367663337e-7 -7.959694699685e-6 0.00089880494167052 1.0009070262780821
    q1 -1.05156e-13 3.33224e-13 -8.785014e-13 3.7708138e-12 -1.85535181e-11 1.04008181e-10 -7.151017997e-10
        6.4201186712e-9 -8.29196082083e-8 1.8212018524402e-6 -9.62145882205036e-5 0.04677687402744896
    k0 3.5186e-14 5.452565e-12 6.62301327e-10 6.0933618942e-8 4.05450661995e-6 0.000182805558279155
        0.005053392643196092 0.07177701034240509 0.3404973210133806 -0.30362077291575545
    l0 1.09269835e-10 -1.7597529e-10 -3.11993613e-10 4.392726e-10 8.1339132e-10 -1.23669233e-9 4.7575447e-11
        -6.64387863e-10 3.80839986e-9 -8.025205605e-9 1.7047535884e-8 -4.1056738725e-8 1.02954317594e-7
        -2.68975986554e-7 7.4278012322e-7 -2.19116738374e-6 7.002245645756e-6 -2.473520542849e-5
        9.9560547420294e-5 -0.000479769056732884 0.00303289181027532 -0.031071461824889898
        1.2185953385133905
    k1 -6.21427e-13 -8.533634e-11 -9.0321275e-9 -7.0811336915e-7 -3.8918690643716e-5 -0.001383168846618116
        -0.02785423521977184 -0.2438385288677433 -0.3322409552403131 0.8850882877295894
    l1 -1.19316684e-10 1.9273808e-10 3.3867804e-10 -4.7744112e-10 -8.9085967e-10 1.36158594e-9 -8.336227e-11
        7.9662428e-10 -4.331939986e-9 9.21389402e-9 -1.981757714e-8 4.815434679e-8 -1.2203186352e-7
        3.23056719885e-7 -9.06708763337e-7 2.73003010435e-6 -8.96120738775e-6 3.2843866502356e-5
        -0.00013959021956272 0.00073572415487184 -0.00556672988007459 0.10334973775386565 1.363151890371342
    ai 1.2777058139e-7 -4.6272104826e-7 -7.3084360354e-7 6.62743906262e-6 -9.0100845588e-6
        -3.015560392191e-5 0.0001375644371369 -0.00012206568343435 -0.00060848050561574 0.00213296437702623
        -0.00118370173936678 -0.00894461668487177 0.02403245388672273 -0.00541177490125957
        -0.09191068315507173 0.18298764161700815 0.01890356911829009 -0.6132456011226269 0.8528469083015945
        0.37669987482906747 -2.3728414082628206 2.05187587773508 1.6884916282635885 -4.358618303084479
        1.7389341530733347 2.455746526840616 -2.410023974815571 -0.03048170134993656 0.5355608832923521
    ap 5.861986e-10 -1.00640141e-9 -8.65106805e-10 1.06597575e-9 3.852030456e-9 -7.025284076e-9 8.7484947e-9
        -2.1979895137e-8 5.8627652164e-8 -1.4887597269e-7 3.9953400116e-7 -1.150845527737e-6
        3.587861260233e-6 -1.2354413921195e-5 4.846333823855e-5 -0.000227852212339156 0.001413201471774573
        -0.0146134587240462 0.9836792828280426
    af -1.7497675e-11 4.132699e-11 -5.8518933e-11 2.0220923e-10 -8.01390024e-10 3.253628014e-9
        -1.592276654e-8 1.00418474827e-7 -9.0545328112e-7 1.4258707963524e-5 -0.000620994141790567
        0.9993637209811473
    ag -2.18467465e-11 4.85668535e-11 -5.69708755e-11 1.8875429316e-10 -7.1739225607e-10 2.62526836437e-9
        -1.130325063756e-8 6.05537747246e-8 -4.3588181673933e-7 4.877086666464e-6 -0.00011383719090052964
        0.012901607658117884
"""


def _tables() -> dict[str, list[float]]:
    tables: dict[str, list[float]] = {}
    for word in _COEFFICIENTS.split():
        if word[0].isalpha():
            row = tables[word] = []
        else:
            row.append(float(word))
    return tables


TABLES = _tables()


def poly(name: str, t: Expression) -> Expression:
    """The polynomial of that name at t, in [-1, 1]."""
    first, second, *others = TABLES[name]
    value = first * t + second
    for c in others:
        value = value * t + c
    return value


def near(name: str, x: Expression) -> Expression:
    return poly(name, x * x * (1 / 32) - 1)  # up to 8


def far(n: int, x: Expression, second: bool) -> Expression:
    """The function of the first or second kind of order n, from 8 on."""
    u = 128 / (x * x) - 1
    p, q = poly(f"p{n}", u), poly(f"q{n}", u) * 8 / x
    # cos and sin of x - (2 n + 1) pi / 4, times sqrt(2), from those of x, whose argument is exact.
    plus, minus = m.cos(x) + m.sin(x), m.sin(x) - m.cos(x)
    c, s = (minus, -plus) if n else (plus, minus)
    return (p * s + q * c if second else p * c - q * s) / m.sqrt(math.pi * x)


def j0(x: Expression) -> Expression:
    return m.select(m.abs(x) < 8, near("j0", x), far(0, m.abs(x), False))


def j1(x: Expression) -> Expression:
    return m.select(m.abs(x) < 8, x * near("j1", x), far(1, m.abs(x), False) * m.sign(x))


def y0(x: Expression) -> Expression:
    return m.select(x < 8, near("y0", x) + 2 / math.pi * m.log(x) * near("j0", x), far(0, x, True))


def y1(x: Expression) -> Expression:
    below = x * near("y1", x) + 2 / math.pi * (m.log(x) * x * near("j1", x) - 1 / x)
    return m.select(m.eq(x, 0), -math.inf, m.select(x < 8, below, far(1, x, True)))


def k0(x: Expression, *, scaled: bool = False) -> Expression:
    below = poly("k0", x * x * 0.5 - 1) - m.log(0.5 * x) * m.i0(x)
    return m.select(x < 2, below * m.exp(x) if scaled else below, decaying(0, x, scaled))


def k1(x: Expression, *, scaled: bool = False) -> Expression:
    below = poly("k1", x * x * 0.5 - 1) / x + m.log(0.5 * x) * m.i1(x)
    value = m.select(x < 2, below * m.exp(x) if scaled else below, decaying(1, x, scaled))
    return m.select(m.eq(x, 0), math.inf, value)


def decaying(n: int, x: Expression, scaled: bool) -> Expression:
    value = poly(f"l{n}", 4 / x - 1) / m.sqrt(x)
    return value if scaled else value * m.exp(-x)


def airy(x: Expression) -> Expression:
    size = m.abs(x)
    zeta = size * m.sqrt(size) * (2 / 3)
    falling = poly("ap", 2 * ZETA_2 / zeta - 1) * m.exp(-zeta) * 0.5
    u = 2 * ZETA_4 * ZETA_4 / (zeta * zeta) - 1
    c, s = m.cos(zeta), m.sin(zeta)
    waving = ((c + s) * poly("af", u) + (s - c) * poly("ag", u) * ZETA_4 / zeta) * math.sqrt(0.5)
    outside = m.select(x < 0, waving, falling) / (m.sqrt(m.sqrt(size)) * math.sqrt(math.pi))
    return m.select((x < 2) & (x > -4), poly("ai", (x + 1) * (1 / 3)), outside)


ZETA_2, ZETA_4 = (2 / 3 * x**1.5 for x in (2.0, 4.0))

# As in PyTorch, they have no gradient.
bessel = partial(
    elementwise,
    signature="input",
    rule="float",
    places="special",
    in_place=False,
    differentiable=False,
    corners=[9.0, -9.0, 40.0],
)
above = Domain(0.1, 12.0)
both = Domain(-12.0, 12.0)

for _order, _first, _second in ((0, j0, y0), (1, j1, y1)):
    bessel(
        f"special.bessel_j{_order}",
        _first,
        f"The Bessel function of the first kind, of order {_order}.",
        ref=each(partial(hankel_reference, _order)),
        sample=both,
    )
    bessel(
        f"special.bessel_y{_order}",
        _second,
        f"The Bessel function of the second kind, of order {_order}; NaN below 0.",
        ref=each(partial(hankel_reference, _order, second=True)),
        sample=above,
    )
modified = partial(bessel, sample=above, without={"onnx": "ONNX has no Bessel functions"})
for _order, _value in ((0, k0), (1, k1)):
    modified(
        f"special.modified_bessel_k{_order}",
        _value,
        f"The modified Bessel function of the second kind, of order {_order}; NaN below 0.",
        ref=each(partial(macdonald_reference, _order)),
    )
    modified(
        f"special.scaled_modified_bessel_k{_order}",
        partial(_value, scaled=True),
        f"exp(input) * special.modified_bessel_k{_order}(input)",
        ref=each(partial(macdonald_reference, _order, scaled=True)),
    )
airy_ai = bessel(
    "special.airy_ai",
    airy,
    "Airy's function Ai.",
    ref=each(airy_reference),
    sample=Domain(-9.0, 6.0),
)
spherical_j0 = elementwise(
    "special.spherical_bessel_j0",
    lambda x: m.select(m.eq(x, 0), 1, m.select(m.eq(m.abs(x), math.inf), 0, m.sin(x) / x)),
    "The spherical Bessel function of the first kind, of order 0: sin(input) / input.",
    d=lambda x, y: m.select(m.eq(x, 0), 0, (m.cos(x) - y) / x),
    ref=lambda x: np.where(np.isinf(x), 0.0, np.sinc(x / math.pi)),
    sample=both,
    rule="float",
    places="special",
    in_place=False,
)
