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
    j0 4.0037632815796753e-13 -1.243301171273326e-11 3.3634475788173604e-10 -7.91532308295207e-9
        1.5956109104549218e-7 -2.717749223632098e-6 3.8473197855944365e-5 -0.0004435459224311503
        0.004058078989140991 -0.028472718610882047 0.14598884856759264 -0.5074680458471 1.0383794611437211
        -0.8080888076696872 -0.6484692830871837 0.9303012472958572 0.04582966485981377
    y0 -8.840112096073101e-13 2.6926938054524057e-11 -7.13046146536789e-10 1.6390875014077404e-8
        -3.2185078445935923e-7 5.3213188103997145e-6 -7.279541882454115e-5 0.000806158605961636
        -0.00702574105727097 0.046367047681375125 -0.21895747096171628 0.6721770783431679
        -1.0775477338215995 0.14412632369302475 1.6470964788745466 -0.8284358903604587 -0.382250654459425
    p0 -1.0251790052831013e-13 3.455012974455743e-13 -1.0157485021065676e-12 4.674289307624388e-12
        -2.491146535471666e-11 1.550640953808597e-10 -1.2121098178951377e-9 1.2803747743828764e-8
        -2.0527448261170675e-7 6.137416081283524e-6 -0.0005363673192129672 0.9994572757882519
    q0 -3.417306155904644e-14 9.894020065590535e-14 -2.0979723806283122e-13 8.172520584990984e-13
        -3.605043103124562e-12 1.7060404730873274e-11 -9.469830663448226e-11 6.432698991315309e-10
        -5.668717017471248e-9 7.106214965332309e-8 -1.477138832589449e-6 6.833149099340043e-5
        -0.01555511387951352
    j1 -4.0045728425886457e-13 1.1658972367678622e-11 -2.943013798001659e-10 6.431190177265836e-9
        -1.196708186787801e-7 1.8684526037206013e-6 -2.404574865968694e-5 0.0002494945813597261
        -0.0020290394945705996 0.012456814392263375 -0.05474581821284722 0.15858376432721838
        -0.2595948652859303 0.15151665143806636 0.08105866038589796 -0.05814382795599107
    y1 8.760001143977853e-13 -2.499531546171249e-11 6.169688029066965e-10 -1.3153147367094951e-8
        2.3804930420514178e-7 -3.601000022590458e-6 4.467433012646365e-5 -0.0004438173434420147
        0.0034224907399188495 -0.01962875683311711 0.07854786922242532 -0.19639839859930203
        0.23507209206669755 0.02336757172099348 -0.24337743079193114 0.07075985882118005
    p1 1.0923713653079462e-13 -3.697244591244297e-13 1.0954826479277623e-12 -5.071495295696752e-12
        2.72345126828134e-11 -1.7137279585997966e-10 1.3602969253877949e-9 -1.4708498448932155e-8
        2.453676633366693e-7 -7.959694699684788e-6 0.0008988049416705183 1.0009070262780821
    q1 -1.0515607072587001e-13 3.3322408743850924e-13 -8.785014186436455e-13 3.770813807536884e-12
        -1.855351813063018e-11 1.0400818107800088e-10 -7.1510179969292e-10 6.4201186711763055e-9
        -8.29196082083117e-8 1.8212018524401882e-6 -9.621458822050365e-5 0.04677687402744896
    k0 3.518631515854722e-14 5.452564662772586e-12 6.623013272794453e-10 6.093361894172114e-8
        4.054506619949891e-6 0.0001828055582791554 0.005053392643196092 0.07177701034240509
        0.3404973210133806 -0.30362077291575545
    l0 1.0926983537268735e-10 -1.7597528809195706e-10 -3.119936129682105e-10 4.3927260002107633e-10
        8.133913205464114e-10 -1.2366923277096287e-9 4.757544705776374e-11 -6.643878631843235e-10
        3.808399859919043e-9 -8.025205604904476e-9 1.7047535884249698e-8 -4.1056738724915364e-8
        1.02954317593912e-7 -2.689759865539584e-7 7.427801232190096e-7 -2.1911673837417864e-6
        7.002245645755651e-6 -2.473520542848972e-5 9.95605474202942e-5 -0.0004797690567328844
        0.0030328918102753206 -0.031071461824889898 1.2185953385133905
    k1 -6.214271617329577e-13 -8.533634168575142e-11 -9.032127501740678e-9 -7.081133691517408e-7
        -3.891869064371633e-5 -0.001383168846618116 -0.02785423521977184 -0.2438385288677433
        -0.3322409552403131 0.8850882877295894
    l1 -1.1931668393112158e-10 1.9273808087540517e-10 3.3867804167808003e-10 -4.77441121785095e-10
        -8.908596710923906e-10 1.3615859404460648e-9 -8.336227195991456e-11 7.966242798504094e-10
        -4.331939985658629e-9 9.213894020289533e-9 -1.9817577141591116e-8 4.815434679085478e-8
        -1.2203186351938403e-7 3.230567198853934e-7 -9.067087633371393e-7 2.7300301043527215e-6
        -8.961207387750025e-6 3.2843866502355955e-5 -0.00013959021956272223 0.0007357241548718385
        -0.005566729880074588 0.10334973775386565 1.363151890371342
    ai 1.2777058139107464e-7 -4.6272104825843065e-7 -7.308436035416011e-7 6.6274390626184415e-6
        -9.010084558793575e-6 -3.015560392191465e-5 0.00013756443713689676 -0.00012206568343435387
        -0.0006084805056157414 0.0021329643770262295 -0.0011837017393667793 -0.008944616684871768
        0.024032453886722732 -0.005411774901259574 -0.09191068315507173 0.18298764161700815
        0.018903569118290088 -0.6132456011226269 0.8528469083015945 0.37669987482906747 -2.3728414082628206
        2.05187587773508 1.6884916282635885 -4.358618303084479 1.7389341530733347 2.455746526840616
        -2.410023974815571 -0.03048170134993656 0.5355608832923521
    ap 5.861986000306369e-10 -1.0064014083505496e-9 -8.651068050216909e-10 1.0659757510968932e-9
        3.852030455620689e-9 -7.0252840760137405e-9 8.748494699842883e-9 -2.1979895137453034e-8
        5.8627652163506544e-8 -1.4887597269131859e-7 3.995340011582503e-7 -1.1508455277369658e-6
        3.5878612602326694e-6 -1.2354413921194604e-5 4.846333823854974e-5 -0.00022785221233915612
        0.0014132014717745725 -0.0146134587240462 0.9836792828280426
    af -1.7497674968172206e-11 4.132699192699631e-11 -5.851893347299139e-11 2.0220922885354486e-10
        -8.013900242181881e-10 3.2536280136289643e-9 -1.5922766540439622e-8 1.0041847482742978e-7
        -9.054532811215454e-7 1.4258707963523771e-5 -0.0006209941417905667 0.9993637209811473
    ag -2.184674648113241e-11 4.8566853483572144e-11 -5.697087551808385e-11 1.8875429315583874e-10
        -7.173922560692216e-10 2.625268364366472e-9 -1.130325063755568e-8 6.055377472462336e-8
        -4.358818167393336e-7 4.877086666464013e-6 -0.00011383719090052964 0.012901607658117884
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

bessel_j0 = bessel(
    "special.bessel_j0",
    j0,
    "The Bessel function of the first kind, of order 0.",
    ref=each(lambda x: hankel_reference(0, x)),
    sample=both,
)
bessel_j1 = bessel(
    "special.bessel_j1",
    j1,
    "The Bessel function of the first kind, of order 1.",
    ref=each(lambda x: hankel_reference(1, x)),
    sample=both,
)
bessel_y0 = bessel(
    "special.bessel_y0",
    y0,
    "The Bessel function of the second kind, of order 0; NaN below 0.",
    ref=each(lambda x: hankel_reference(0, x, second=True)),
    sample=above,
)
bessel_y1 = bessel(
    "special.bessel_y1",
    y1,
    "The Bessel function of the second kind, of order 1; NaN below 0.",
    ref=each(lambda x: hankel_reference(1, x, second=True)),
    sample=above,
)
modified = partial(bessel, sample=above, without={"onnx": "ONNX has no Bessel functions"})
modified_k0 = modified(
    "special.modified_bessel_k0",
    k0,
    "The modified Bessel function of the second kind, of order 0; NaN below 0.",
    ref=each(lambda x: macdonald_reference(0, x)),
)
modified_k1 = modified(
    "special.modified_bessel_k1",
    k1,
    "The modified Bessel function of the second kind, of order 1; NaN below 0.",
    ref=each(lambda x: macdonald_reference(1, x)),
)
scaled_k0 = modified(
    "special.scaled_modified_bessel_k0",
    lambda x: k0(x, scaled=True),
    "exp(input) * special.modified_bessel_k0(input)",
    ref=each(lambda x: macdonald_reference(0, x, scaled=True)),
)
scaled_k1 = modified(
    "special.scaled_modified_bessel_k1",
    lambda x: k1(x, scaled=True),
    "exp(input) * special.modified_bessel_k1(input)",
    ref=each(lambda x: macdonald_reference(1, x, scaled=True)),
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
