"""repr() of tensors: the strings that PyTorch 2.13 prints, but for the name of the module in dtypes."""
# ruff: noqa: E501

from math import inf, nan

import pytest

import versant as vs
from versant.tensors.printing import set_printoptions

# fmt: off
CASES = [
    (lambda: vs.tensor([1, 20, -300]), "tensor([   1,   20, -300])"),
    (lambda: vs.tensor([[1, 20], [-300, 4]]), """\
tensor([[   1,   20],
        [-300,    4]])"""),
    (lambda: vs.tensor([[True, False], [False, True]]), """\
tensor([[ True, False],
        [False,  True]])"""),
    (lambda: vs.tensor(True), "tensor(True)"),
    (lambda: vs.tensor(5), "tensor(5)"),
    (lambda: vs.tensor([1, 255], dtype=vs.uint8), "tensor([  1, 255], dtype=versant.uint8)"),
    (lambda: vs.tensor([-128, 127], dtype=vs.int8), "tensor([-128,  127], dtype=versant.int8)"),
    (lambda: vs.tensor(5, dtype=vs.int32), "tensor(5, dtype=versant.int32)"),
    (lambda: vs.tensor([-(2**63), 2**63 - 1]), "tensor([-9223372036854775808,  9223372036854775807])"),
    (lambda: vs.tensor([1.0, 2.0, 300.0]), "tensor([  1.,   2., 300.])"),
    (lambda: vs.tensor([1.5, -2.25, 300.125]), "tensor([  1.5000,  -2.2500, 300.1250])"),
    (lambda: vs.tensor([[-1.5, 2.0], [3.0, -4.0]]), """\
tensor([[-1.5000,  2.0000],
        [ 3.0000, -4.0000]])"""),
    (lambda: vs.tensor(3.14159), "tensor(3.1416)"),
    (lambda: vs.tensor(3.0), "tensor(3.)"),
    (lambda: vs.tensor(-3.5), "tensor(-3.5000)"),
    (lambda: vs.tensor(0.0), "tensor(0.)"),
    (lambda: vs.tensor([-0.0, 1.0]), "tensor([-0., 1.])"),
    (lambda: vs.zeros(2, 3), """\
tensor([[0., 0., 0.],
        [0., 0., 0.]])"""),
    (lambda: vs.tensor([0.1, 0.25, 0.333]), "tensor([0.1000, 0.2500, 0.3330])"),
    (lambda: vs.tensor([0.99999, 0.1]), "tensor([1.0000, 0.1000])"),
    (lambda: vs.tensor([1e10, 1.0]), "tensor([1.0000e+10, 1.0000e+00])"),
    (lambda: vs.tensor([1e8, 1e5]), "tensor([100000000.,    100000.])"),
    (lambda: vs.tensor([1.1e8]), "tensor([1.1000e+08])"),
    (lambda: vs.tensor([99999999.0]), "tensor([100000000.])"),
    (lambda: vs.tensor([1e-5]), "tensor([1.0000e-05])"),
    (lambda: vs.tensor([1e-4, 1.5e-4]), "tensor([1.0000e-04, 1.5000e-04])"),
    (lambda: vs.tensor([0.0, 1e-6]), "tensor([0.0000e+00, 1.0000e-06])"),
    (lambda: vs.tensor([1000.5, 1.0]), "tensor([1.0005e+03, 1.0000e+00])"),
    (lambda: vs.tensor([1000.5, 0.5]), "tensor([1.0005e+03, 5.0000e-01])"),
    (lambda: vs.tensor([1000.0, 1.0]), "tensor([1000.,    1.])"),
    (lambda: vs.tensor([1001.0, 1.0]), "tensor([1.0010e+03, 1.0000e+00])"),
    (lambda: vs.tensor([-1e10, 1e-10]), "tensor([-1.0000e+10,  1.0000e-10])"),
    (lambda: vs.tensor(1e10), "tensor(1.0000e+10)"),
    (lambda: vs.tensor(1.5e-5), "tensor(1.5000e-05)"),
    (lambda: vs.tensor([3.4e38]), "tensor([3.4000e+38])"),
    (lambda: vs.tensor([1e-45]), "tensor([1.4013e-45])"),
    (lambda: vs.tensor([nan, 1.5]), "tensor([   nan, 1.5000])"),
    (lambda: vs.tensor([nan, 1.0]), "tensor([nan, 1.])"),
    (lambda: vs.tensor([nan, 0.0]), "tensor([nan, 0.])"),
    (lambda: vs.tensor([inf, -inf, nan, 1.0]), "tensor([inf, -inf, nan, 1.])"),
    (lambda: vs.tensor([inf, -inf]), "tensor([inf, -inf])"),
    (lambda: vs.tensor([inf, 1e10]), "tensor([       inf, 1.0000e+10])"),
    (lambda: vs.tensor([-inf, 1.5]), "tensor([  -inf, 1.5000])"),
    (lambda: vs.tensor(nan), "tensor(nan)"),
    (lambda: vs.tensor(-inf), "tensor(-inf)"),
    (lambda: vs.tensor([1.5, 2.5], dtype=vs.float64), "tensor([1.5000, 2.5000], dtype=versant.float64)"),
    (lambda: vs.tensor(1.5, dtype=vs.float64), "tensor(1.5000, dtype=versant.float64)"),
    (lambda: vs.tensor([1e-300, 1.0], dtype=vs.float64), "tensor([1.0000e-300,  1.0000e+00], dtype=versant.float64)"),
    (lambda: vs.tensor([1.123456789, 123456.789], dtype=vs.float64), "tensor([1.1235e+00, 1.2346e+05], dtype=versant.float64)"),
    (lambda: vs.tensor([1.5, 65504.0], dtype=vs.float16), "tensor([1.5000e+00, 6.5504e+04], dtype=versant.float16)"),
    (lambda: vs.tensor([1.5, 3e38], dtype=vs.bfloat16), "tensor([1.5000e+00, 3.0041e+38], dtype=versant.bfloat16)"),
    (lambda: vs.tensor([]), "tensor([])"),
    (lambda: vs.ones(0, 3), "tensor([], size=(0, 3))"),
    (lambda: vs.ones(2, 0, 3), "tensor([], size=(2, 0, 3))"),
    (lambda: vs.ones(0, dtype=vs.int64), "tensor([], dtype=versant.int64)"),
    (lambda: vs.ones(2, 0, dtype=vs.bool), "tensor([], size=(2, 0), dtype=versant.bool)"),
    (lambda: vs.ones(0, 2, requires_grad=True), "tensor([], size=(0, 2), requires_grad=True)"),
    (lambda: vs.arange(24).reshape(2, 3, 4), """\
tensor([[[ 0,  1,  2,  3],
         [ 4,  5,  6,  7],
         [ 8,  9, 10, 11]],

        [[12, 13, 14, 15],
         [16, 17, 18, 19],
         [20, 21, 22, 23]]])"""),
    (lambda: vs.arange(16.0).reshape(2, 2, 2, 2), """\
tensor([[[[ 0.,  1.],
          [ 2.,  3.]],

         [[ 4.,  5.],
          [ 6.,  7.]]],


        [[[ 8.,  9.],
          [10., 11.]],

         [[12., 13.],
          [14., 15.]]]])"""),
    (lambda: vs.arange(6).reshape(2, 3).t(), """\
tensor([[0, 3],
        [1, 4],
        [2, 5]])"""),
    (lambda: vs.ones(1, 3).expand(2, 3), """\
tensor([[1., 1., 1.],
        [1., 1., 1.]])"""),
    (lambda: vs.arange(30), """\
tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,
        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])"""),
    (lambda: vs.arange(30.0) / 7, """\
tensor([0.0000, 0.1429, 0.2857, 0.4286, 0.5714, 0.7143, 0.8571, 1.0000, 1.1429,
        1.2857, 1.4286, 1.5714, 1.7143, 1.8571, 2.0000, 2.1429, 2.2857, 2.4286,
        2.5714, 2.7143, 2.8571, 3.0000, 3.1429, 3.2857, 3.4286, 3.5714, 3.7143,
        3.8571, 4.0000, 4.1429])"""),
    (lambda: vs.arange(20.0) * 1e9 + 0.5, """\
tensor([5.0000e-01, 1.0000e+09, 2.0000e+09, 3.0000e+09, 4.0000e+09, 5.0000e+09,
        6.0000e+09, 7.0000e+09, 8.0000e+09, 9.0000e+09, 1.0000e+10, 1.1000e+10,
        1.2000e+10, 1.3000e+10, 1.4000e+10, 1.5000e+10, 1.6000e+10, 1.7000e+10,
        1.8000e+10, 1.9000e+10])"""),
    (lambda: vs.arange(60.0).reshape(2, 30) / 3, """\
tensor([[ 0.0000,  0.3333,  0.6667,  1.0000,  1.3333,  1.6667,  2.0000,  2.3333,
          2.6667,  3.0000,  3.3333,  3.6667,  4.0000,  4.3333,  4.6667,  5.0000,
          5.3333,  5.6667,  6.0000,  6.3333,  6.6667,  7.0000,  7.3333,  7.6667,
          8.0000,  8.3333,  8.6667,  9.0000,  9.3333,  9.6667],
        [10.0000, 10.3333, 10.6667, 11.0000, 11.3333, 11.6667, 12.0000, 12.3333,
         12.6667, 13.0000, 13.3333, 13.6667, 14.0000, 14.3333, 14.6667, 15.0000,
         15.3333, 15.6667, 16.0000, 16.3333, 16.6667, 17.0000, 17.3333, 17.6667,
         18.0000, 18.3333, 18.6667, 19.0000, 19.3333, 19.6667]])"""),
    (lambda: vs.ones(40, dtype=vs.bool), """\
tensor([True, True, True, True, True, True, True, True, True, True, True, True,
        True, True, True, True, True, True, True, True, True, True, True, True,
        True, True, True, True, True, True, True, True, True, True, True, True,
        True, True, True, True])"""),
    (lambda: vs.arange(1000)[:1000:40], """\
tensor([  0,  40,  80, 120, 160, 200, 240, 280, 320, 360, 400, 440, 480, 520,
        560, 600, 640, 680, 720, 760, 800, 840, 880, 920, 960])"""),
    (lambda: vs.arange(1001), "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (lambda: vs.arange(2000.0) / 3, """\
tensor([0.0000e+00, 3.3333e-01, 6.6667e-01,  ..., 6.6567e+02, 6.6600e+02,
        6.6633e+02])"""),
    (lambda: vs.arange(10000).reshape(100, 100), """\
tensor([[   0,    1,    2,  ...,   97,   98,   99],
        [ 100,  101,  102,  ...,  197,  198,  199],
        [ 200,  201,  202,  ...,  297,  298,  299],
        ...,
        [9700, 9701, 9702,  ..., 9797, 9798, 9799],
        [9800, 9801, 9802,  ..., 9897, 9898, 9899],
        [9900, 9901, 9902,  ..., 9997, 9998, 9999]])"""),
    (lambda: vs.arange(10000.0).reshape(100, 100) / 3, """\
tensor([[0.0000e+00, 3.3333e-01, 6.6667e-01,  ..., 3.2333e+01, 3.2667e+01,
         3.3000e+01],
        [3.3333e+01, 3.3667e+01, 3.4000e+01,  ..., 6.5667e+01, 6.6000e+01,
         6.6333e+01],
        [6.6667e+01, 6.7000e+01, 6.7333e+01,  ..., 9.9000e+01, 9.9333e+01,
         9.9667e+01],
        ...,
        [3.2333e+03, 3.2337e+03, 3.2340e+03,  ..., 3.2657e+03, 3.2660e+03,
         3.2663e+03],
        [3.2667e+03, 3.2670e+03, 3.2673e+03,  ..., 3.2990e+03, 3.2993e+03,
         3.2997e+03],
        [3.3000e+03, 3.3003e+03, 3.3007e+03,  ..., 3.3323e+03, 3.3327e+03,
         3.3330e+03]])"""),
    (lambda: vs.arange(8000.0).reshape(20, 20, 20), """\
tensor([[[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 1.7000e+01,
          1.8000e+01, 1.9000e+01],
         [2.0000e+01, 2.1000e+01, 2.2000e+01,  ..., 3.7000e+01,
          3.8000e+01, 3.9000e+01],
         [4.0000e+01, 4.1000e+01, 4.2000e+01,  ..., 5.7000e+01,
          5.8000e+01, 5.9000e+01],
         ...,
         [3.4000e+02, 3.4100e+02, 3.4200e+02,  ..., 3.5700e+02,
          3.5800e+02, 3.5900e+02],
         [3.6000e+02, 3.6100e+02, 3.6200e+02,  ..., 3.7700e+02,
          3.7800e+02, 3.7900e+02],
         [3.8000e+02, 3.8100e+02, 3.8200e+02,  ..., 3.9700e+02,
          3.9800e+02, 3.9900e+02]],

        [[4.0000e+02, 4.0100e+02, 4.0200e+02,  ..., 4.1700e+02,
          4.1800e+02, 4.1900e+02],
         [4.2000e+02, 4.2100e+02, 4.2200e+02,  ..., 4.3700e+02,
          4.3800e+02, 4.3900e+02],
         [4.4000e+02, 4.4100e+02, 4.4200e+02,  ..., 4.5700e+02,
          4.5800e+02, 4.5900e+02],
         ...,
         [7.4000e+02, 7.4100e+02, 7.4200e+02,  ..., 7.5700e+02,
          7.5800e+02, 7.5900e+02],
         [7.6000e+02, 7.6100e+02, 7.6200e+02,  ..., 7.7700e+02,
          7.7800e+02, 7.7900e+02],
         [7.8000e+02, 7.8100e+02, 7.8200e+02,  ..., 7.9700e+02,
          7.9800e+02, 7.9900e+02]],

        [[8.0000e+02, 8.0100e+02, 8.0200e+02,  ..., 8.1700e+02,
          8.1800e+02, 8.1900e+02],
         [8.2000e+02, 8.2100e+02, 8.2200e+02,  ..., 8.3700e+02,
          8.3800e+02, 8.3900e+02],
         [8.4000e+02, 8.4100e+02, 8.4200e+02,  ..., 8.5700e+02,
          8.5800e+02, 8.5900e+02],
         ...,
         [1.1400e+03, 1.1410e+03, 1.1420e+03,  ..., 1.1570e+03,
          1.1580e+03, 1.1590e+03],
         [1.1600e+03, 1.1610e+03, 1.1620e+03,  ..., 1.1770e+03,
          1.1780e+03, 1.1790e+03],
         [1.1800e+03, 1.1810e+03, 1.1820e+03,  ..., 1.1970e+03,
          1.1980e+03, 1.1990e+03]],

        ...,

        [[6.8000e+03, 6.8010e+03, 6.8020e+03,  ..., 6.8170e+03,
          6.8180e+03, 6.8190e+03],
         [6.8200e+03, 6.8210e+03, 6.8220e+03,  ..., 6.8370e+03,
          6.8380e+03, 6.8390e+03],
         [6.8400e+03, 6.8410e+03, 6.8420e+03,  ..., 6.8570e+03,
          6.8580e+03, 6.8590e+03],
         ...,
         [7.1400e+03, 7.1410e+03, 7.1420e+03,  ..., 7.1570e+03,
          7.1580e+03, 7.1590e+03],
         [7.1600e+03, 7.1610e+03, 7.1620e+03,  ..., 7.1770e+03,
          7.1780e+03, 7.1790e+03],
         [7.1800e+03, 7.1810e+03, 7.1820e+03,  ..., 7.1970e+03,
          7.1980e+03, 7.1990e+03]],

        [[7.2000e+03, 7.2010e+03, 7.2020e+03,  ..., 7.2170e+03,
          7.2180e+03, 7.2190e+03],
         [7.2200e+03, 7.2210e+03, 7.2220e+03,  ..., 7.2370e+03,
          7.2380e+03, 7.2390e+03],
         [7.2400e+03, 7.2410e+03, 7.2420e+03,  ..., 7.2570e+03,
          7.2580e+03, 7.2590e+03],
         ...,
         [7.5400e+03, 7.5410e+03, 7.5420e+03,  ..., 7.5570e+03,
          7.5580e+03, 7.5590e+03],
         [7.5600e+03, 7.5610e+03, 7.5620e+03,  ..., 7.5770e+03,
          7.5780e+03, 7.5790e+03],
         [7.5800e+03, 7.5810e+03, 7.5820e+03,  ..., 7.5970e+03,
          7.5980e+03, 7.5990e+03]],

        [[7.6000e+03, 7.6010e+03, 7.6020e+03,  ..., 7.6170e+03,
          7.6180e+03, 7.6190e+03],
         [7.6200e+03, 7.6210e+03, 7.6220e+03,  ..., 7.6370e+03,
          7.6380e+03, 7.6390e+03],
         [7.6400e+03, 7.6410e+03, 7.6420e+03,  ..., 7.6570e+03,
          7.6580e+03, 7.6590e+03],
         ...,
         [7.9400e+03, 7.9410e+03, 7.9420e+03,  ..., 7.9570e+03,
          7.9580e+03, 7.9590e+03],
         [7.9600e+03, 7.9610e+03, 7.9620e+03,  ..., 7.9770e+03,
          7.9780e+03, 7.9790e+03],
         [7.9800e+03, 7.9810e+03, 7.9820e+03,  ..., 7.9970e+03,
          7.9980e+03, 7.9990e+03]]])"""),
    (lambda: vs.arange(6000.0).reshape(2, 3, 1000), """\
tensor([[[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.9700e+02,
          9.9800e+02, 9.9900e+02],
         [1.0000e+03, 1.0010e+03, 1.0020e+03,  ..., 1.9970e+03,
          1.9980e+03, 1.9990e+03],
         [2.0000e+03, 2.0010e+03, 2.0020e+03,  ..., 2.9970e+03,
          2.9980e+03, 2.9990e+03]],

        [[3.0000e+03, 3.0010e+03, 3.0020e+03,  ..., 3.9970e+03,
          3.9980e+03, 3.9990e+03],
         [4.0000e+03, 4.0010e+03, 4.0020e+03,  ..., 4.9970e+03,
          4.9980e+03, 4.9990e+03],
         [5.0000e+03, 5.0010e+03, 5.0020e+03,  ..., 5.9970e+03,
          5.9980e+03, 5.9990e+03]]])"""),
    (lambda: vs.arange(4000).reshape(2000, 2), """\
tensor([[   0,    1],
        [   2,    3],
        [   4,    5],
        ...,
        [3994, 3995],
        [3996, 3997],
        [3998, 3999]])"""),
    (lambda: vs.arange(7007).reshape(7, 1001), """\
tensor([[   0,    1,    2,  ...,  998,  999, 1000],
        [1001, 1002, 1003,  ..., 1999, 2000, 2001],
        [2002, 2003, 2004,  ..., 3000, 3001, 3002],
        ...,
        [4004, 4005, 4006,  ..., 5002, 5003, 5004],
        [5005, 5006, 5007,  ..., 6003, 6004, 6005],
        [6006, 6007, 6008,  ..., 7004, 7005, 7006]])"""),
    (lambda: vs.arange(2000) > 5, "tensor([False, False, False,  ...,  True,  True,  True])"),
    (lambda: vs.ones(2000, dtype=vs.float16), "tensor([1., 1., 1.,  ..., 1., 1., 1.], dtype=versant.float16)"),
    (lambda: vs.tensor([1.0, 2.0], requires_grad=True), "tensor([1., 2.], requires_grad=True)"),
    (lambda: vs.tensor(1.5, requires_grad=True), "tensor(1.5000, requires_grad=True)"),
    (lambda: vs.tensor([1.0, 2.0], dtype=vs.float64, requires_grad=True), "tensor([1., 2.], dtype=versant.float64, requires_grad=True)"),
    (lambda: vs.tensor([1.5] * 6, requires_grad=True), "tensor([1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000], requires_grad=True)"),
    (lambda: vs.tensor([1.5] * 7, requires_grad=True), """\
tensor([1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000],
       requires_grad=True)"""),
    (lambda: vs.tensor([[1.5] * 7] * 2, requires_grad=True), """\
tensor([[1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000],
        [1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000]],
       requires_grad=True)"""),
    (lambda: vs.nn.Parameter(vs.ones(2)), """\
Parameter containing:
tensor([1., 1.], requires_grad=True)"""),
    (lambda: vs.nn.Parameter(vs.ones(2), requires_grad=False), """\
Parameter containing:
tensor([1., 1.])"""),
    (lambda: [vs.ones(2), vs.tensor(1)], "[tensor([1., 1.]), tensor(1)]"),
]

WITH_OPTIONS = [
    ({"precision": 2}, lambda: vs.tensor([1.2345, 100.0]), "tensor([  1.23, 100.00])"),
    ({"precision": 10}, lambda: vs.tensor([1.5, 100.0]), "tensor([  1.5000000000, 100.0000000000])"),
    ({"precision": 0}, lambda: vs.tensor([1.5, 100.0]), "tensor([  2, 100])"),
    ({"sci_mode": True}, lambda: vs.tensor([1.5, 100.0, 0.0, inf]), "tensor([1.5000e+00, 1.0000e+02, 0.0000e+00,        inf])"),
    ({"sci_mode": True}, lambda: vs.tensor(0.0), "tensor(0.)"),
    ({"sci_mode": False}, lambda: vs.tensor([1e10, 1e-10]), "tensor([10000000000.0000,           0.0000])"),
    ({"threshold": 5}, lambda: vs.arange(10), "tensor([0, 1, 2,  ..., 7, 8, 9])"),
    ({"threshold": 5}, lambda: vs.arange(8.0).reshape(2, 4), """\
tensor([[0., 1., 2., 3.],
        [4., 5., 6., 7.]])"""),
    ({"threshold": 5, "edgeitems": 1}, lambda: vs.arange(10), "tensor([0,  ..., 9])"),
    ({"threshold": 5, "edgeitems": 1}, lambda: vs.arange(27).reshape(3, 3, 3), """\
tensor([[[ 0,  ...,  2],
         ...,
         [ 6,  ...,  8]],

        ...,

        [[18,  ..., 20],
         ...,
         [24,  ..., 26]]])"""),
    ({"threshold": 5, "edgeitems": 0}, lambda: vs.arange(10), "tensor([...], size=(10,))"),
    ({"threshold": 5, "edgeitems": 0}, lambda: vs.arange(12).reshape(3, 4), "tensor([...], size=(3, 4))"),
    ({"linewidth": 40}, lambda: vs.arange(30), """\
tensor([ 0,  1,  2,  3,  4,  5,  6,  7,
         8,  9, 10, 11, 12, 13, 14, 15,
        16, 17, 18, 19, 20, 21, 22, 23,
        24, 25, 26, 27, 28, 29])"""),
    ({"linewidth": 40}, lambda: vs.ones(2, 10) / 3, """\
tensor([[0.3333, 0.3333, 0.3333, 0.3333,
         0.3333, 0.3333, 0.3333, 0.3333,
         0.3333, 0.3333],
        [0.3333, 0.3333, 0.3333, 0.3333,
         0.3333, 0.3333, 0.3333, 0.3333,
         0.3333, 0.3333]])"""),
    ({"linewidth": 10}, lambda: vs.ones(3) / 3, """\
tensor([0.3333,
        0.3333,
        0.3333])"""),
    ({"profile": "short"}, lambda: vs.arange(2000.0) / 3, "tensor([0.00e+00, 3.33e-01,  ..., 6.66e+02, 6.66e+02])"),
    ({"profile": "full", "linewidth": 200}, lambda: vs.arange(1001)[-5:], "tensor([ 996,  997,  998,  999, 1000])"),
]
# fmt: on


@pytest.fixture(autouse=True)
def default_options():
    yield
    set_printoptions(profile="default")


@pytest.mark.parametrize(("make", "text"), CASES, ids=[text.split("\n")[0] for _, text in CASES])
def test_repr(make, text: str) -> None:
    assert repr(make()) == text


@pytest.mark.parametrize(("options", "make", "text"), WITH_OPTIONS, ids=[str(o) for o, _, _ in WITH_OPTIONS])
def test_repr_with_options(options, make, text: str) -> None:
    vs.set_printoptions(**options)
    assert repr(make()) == text


def test_str_is_repr() -> None:
    assert str(vs.ones(2)) == "tensor([1., 1.])"


def test_the_node_that_made_it_is_named() -> None:
    x = vs.ones(2, requires_grad=True)
    y = x * 2
    assert repr(y) == f"tensor([2., 2.], grad_fn=<{y.grad_fn.name()}>)"
    assert "grad_fn" not in repr(y.detach())


def test_printing_records_nothing_and_changes_nothing() -> None:
    x = vs.arange(2000.0).requires_grad_()
    version = x._version
    repr(x)
    assert x._version == version
    assert x.grad_fn is None


def test_options_that_are_left_out_stay() -> None:
    vs.set_printoptions(precision=2)
    vs.set_printoptions(linewidth=100)
    assert repr(vs.tensor([1.2345])) == "tensor([1.23])"
    vs.set_printoptions(profile="default")
    assert repr(vs.tensor([1.2345])) == "tensor([1.2345])"
    with pytest.raises(ValueError, match=r"\[set_printoptions\] unknown profile 'huge'"):
        vs.set_printoptions(profile="huge")
