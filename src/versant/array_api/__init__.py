"""The Python array API standard, version 2024.12, over tensors: `xp = versant.array_api`.

Functions have the standard's names, arguments and rules, take and return `versant.Tensor`, record gradients,
and run the ops of the table. The extensions are `linalg` and `fft`. Source: https://data-apis.org/array-api/2024.12/.

>>> import versant as vs
>>> x = vs.tensor([3.0, 4.0])
>>> xp = x.__array_namespace__()
>>> xp.linalg.vector_norm(x)
tensor(5.)
"""

from math import e as e
from math import inf as inf
from math import nan as nan
from math import pi as pi

from versant import (
    bool as bool,
)
from versant import (
    complex64 as complex64,
)
from versant import (
    complex128 as complex128,
)
from versant import (
    float32 as float32,
)
from versant import (
    float64 as float64,
)
from versant import (
    int8 as int8,
)
from versant import (
    int16 as int16,
)
from versant import (
    int32 as int32,
)
from versant import (
    int64 as int64,
)
from versant import (
    uint8 as uint8,
)
from versant.array_api import fft as fft
from versant.array_api import linalg as linalg
from versant.array_api.creation import (
    arange as arange,
)
from versant.array_api.creation import (
    asarray as asarray,
)
from versant.array_api.creation import (
    empty as empty,
)
from versant.array_api.creation import (
    empty_like as empty_like,
)
from versant.array_api.creation import (
    eye as eye,
)
from versant.array_api.creation import (
    from_dlpack as from_dlpack,
)
from versant.array_api.creation import (
    full as full,
)
from versant.array_api.creation import (
    full_like as full_like,
)
from versant.array_api.creation import (
    linspace as linspace,
)
from versant.array_api.creation import (
    meshgrid as meshgrid,
)
from versant.array_api.creation import (
    ones as ones,
)
from versant.array_api.creation import (
    ones_like as ones_like,
)
from versant.array_api.creation import (
    tril as tril,
)
from versant.array_api.creation import (
    triu as triu,
)
from versant.array_api.creation import (
    zeros as zeros,
)
from versant.array_api.creation import (
    zeros_like as zeros_like,
)
from versant.array_api.data_types import (
    astype as astype,
)
from versant.array_api.data_types import (
    broadcast_arrays as broadcast_arrays,
)
from versant.array_api.data_types import (
    can_cast as can_cast,
)
from versant.array_api.data_types import (
    finfo as finfo,
)
from versant.array_api.data_types import (
    iinfo as iinfo,
)
from versant.array_api.data_types import (
    isdtype as isdtype,
)
from versant.array_api.data_types import (
    result_type as result_type,
)
from versant.array_api.elementwise import (
    abs as abs,
)
from versant.array_api.elementwise import (
    acos as acos,
)
from versant.array_api.elementwise import (
    acosh as acosh,
)
from versant.array_api.elementwise import (
    add as add,
)
from versant.array_api.elementwise import (
    asin as asin,
)
from versant.array_api.elementwise import (
    asinh as asinh,
)
from versant.array_api.elementwise import (
    atan as atan,
)
from versant.array_api.elementwise import (
    atan2 as atan2,
)
from versant.array_api.elementwise import (
    atanh as atanh,
)
from versant.array_api.elementwise import (
    bitwise_and as bitwise_and,
)
from versant.array_api.elementwise import (
    bitwise_invert as bitwise_invert,
)
from versant.array_api.elementwise import (
    bitwise_left_shift as bitwise_left_shift,
)
from versant.array_api.elementwise import (
    bitwise_or as bitwise_or,
)
from versant.array_api.elementwise import (
    bitwise_right_shift as bitwise_right_shift,
)
from versant.array_api.elementwise import (
    bitwise_xor as bitwise_xor,
)
from versant.array_api.elementwise import (
    ceil as ceil,
)
from versant.array_api.elementwise import (
    clip as clip,
)
from versant.array_api.elementwise import (
    conj as conj,
)
from versant.array_api.elementwise import (
    copysign as copysign,
)
from versant.array_api.elementwise import (
    cos as cos,
)
from versant.array_api.elementwise import (
    cosh as cosh,
)
from versant.array_api.elementwise import (
    divide as divide,
)
from versant.array_api.elementwise import (
    equal as equal,
)
from versant.array_api.elementwise import (
    exp as exp,
)
from versant.array_api.elementwise import (
    expm1 as expm1,
)
from versant.array_api.elementwise import (
    floor as floor,
)
from versant.array_api.elementwise import (
    floor_divide as floor_divide,
)
from versant.array_api.elementwise import (
    greater as greater,
)
from versant.array_api.elementwise import (
    greater_equal as greater_equal,
)
from versant.array_api.elementwise import (
    hypot as hypot,
)
from versant.array_api.elementwise import (
    imag as imag,
)
from versant.array_api.elementwise import (
    isfinite as isfinite,
)
from versant.array_api.elementwise import (
    isinf as isinf,
)
from versant.array_api.elementwise import (
    isnan as isnan,
)
from versant.array_api.elementwise import (
    less as less,
)
from versant.array_api.elementwise import (
    less_equal as less_equal,
)
from versant.array_api.elementwise import (
    log as log,
)
from versant.array_api.elementwise import (
    log1p as log1p,
)
from versant.array_api.elementwise import (
    log2 as log2,
)
from versant.array_api.elementwise import (
    log10 as log10,
)
from versant.array_api.elementwise import (
    logaddexp as logaddexp,
)
from versant.array_api.elementwise import (
    logical_and as logical_and,
)
from versant.array_api.elementwise import (
    logical_not as logical_not,
)
from versant.array_api.elementwise import (
    logical_or as logical_or,
)
from versant.array_api.elementwise import (
    logical_xor as logical_xor,
)
from versant.array_api.elementwise import (
    maximum as maximum,
)
from versant.array_api.elementwise import (
    minimum as minimum,
)
from versant.array_api.elementwise import (
    multiply as multiply,
)
from versant.array_api.elementwise import (
    negative as negative,
)
from versant.array_api.elementwise import (
    nextafter as nextafter,
)
from versant.array_api.elementwise import (
    not_equal as not_equal,
)
from versant.array_api.elementwise import (
    positive as positive,
)
from versant.array_api.elementwise import (
    pow as pow,
)
from versant.array_api.elementwise import (
    real as real,
)
from versant.array_api.elementwise import (
    reciprocal as reciprocal,
)
from versant.array_api.elementwise import (
    remainder as remainder,
)
from versant.array_api.elementwise import (
    round as round,
)
from versant.array_api.elementwise import (
    sign as sign,
)
from versant.array_api.elementwise import (
    signbit as signbit,
)
from versant.array_api.elementwise import (
    sin as sin,
)
from versant.array_api.elementwise import (
    sinh as sinh,
)
from versant.array_api.elementwise import (
    sqrt as sqrt,
)
from versant.array_api.elementwise import (
    square as square,
)
from versant.array_api.elementwise import (
    subtract as subtract,
)
from versant.array_api.elementwise import (
    tan as tan,
)
from versant.array_api.elementwise import (
    tanh as tanh,
)
from versant.array_api.elementwise import (
    trunc as trunc,
)
from versant.array_api.inspection import __array_namespace_info__ as __array_namespace_info__
from versant.array_api.linalg import (
    matmul as matmul,
)
from versant.array_api.linalg import (
    matrix_transpose as matrix_transpose,
)
from versant.array_api.linalg import (
    tensordot as tensordot,
)
from versant.array_api.linalg import (
    vecdot as vecdot,
)
from versant.array_api.manipulation import (
    broadcast_to as broadcast_to,
)
from versant.array_api.manipulation import (
    concat as concat,
)
from versant.array_api.manipulation import (
    expand_dims as expand_dims,
)
from versant.array_api.manipulation import (
    flip as flip,
)
from versant.array_api.manipulation import (
    moveaxis as moveaxis,
)
from versant.array_api.manipulation import (
    permute_dims as permute_dims,
)
from versant.array_api.manipulation import (
    repeat as repeat,
)
from versant.array_api.manipulation import (
    reshape as reshape,
)
from versant.array_api.manipulation import (
    roll as roll,
)
from versant.array_api.manipulation import (
    squeeze as squeeze,
)
from versant.array_api.manipulation import (
    stack as stack,
)
from versant.array_api.manipulation import (
    tile as tile,
)
from versant.array_api.manipulation import (
    unstack as unstack,
)
from versant.array_api.searching import (
    argmax as argmax,
)
from versant.array_api.searching import (
    argmin as argmin,
)
from versant.array_api.searching import (
    argsort as argsort,
)
from versant.array_api.searching import (
    count_nonzero as count_nonzero,
)
from versant.array_api.searching import (
    nonzero as nonzero,
)
from versant.array_api.searching import (
    searchsorted as searchsorted,
)
from versant.array_api.searching import (
    sort as sort,
)
from versant.array_api.searching import (
    take as take,
)
from versant.array_api.searching import (
    take_along_axis as take_along_axis,
)
from versant.array_api.searching import (
    unique_all as unique_all,
)
from versant.array_api.searching import (
    unique_counts as unique_counts,
)
from versant.array_api.searching import (
    unique_inverse as unique_inverse,
)
from versant.array_api.searching import (
    unique_values as unique_values,
)
from versant.array_api.searching import (
    where as where,
)
from versant.array_api.statistical import (
    all as all,
)
from versant.array_api.statistical import (
    any as any,
)
from versant.array_api.statistical import (
    cumulative_prod as cumulative_prod,
)
from versant.array_api.statistical import (
    cumulative_sum as cumulative_sum,
)
from versant.array_api.statistical import (
    diff as diff,
)
from versant.array_api.statistical import (
    max as max,
)
from versant.array_api.statistical import (
    mean as mean,
)
from versant.array_api.statistical import (
    min as min,
)
from versant.array_api.statistical import (
    prod as prod,
)
from versant.array_api.statistical import (
    std as std,
)
from versant.array_api.statistical import (
    sum as sum,
)
from versant.array_api.statistical import (
    var as var,
)

__array_api_version__ = "2024.12"
newaxis = None
