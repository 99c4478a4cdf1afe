"""In which family of ops a name stands, from the op table by tools/make_stubs.py."""

_FAMILIES = {
    "versant": {
        "arithmetic": """
        abs abs_ absolute absolute_ add add_ addcdiv addcdiv_ addcmul addcmul_ copysign copysign_
        div div_ divide divide_ floor_divide floor_divide_ fmod fmod_ gcd gcd_ lcm lcm_ lerp lerp_
        mul mul_ multiply multiply_ neg neg_ negative negative_ positive reciprocal reciprocal_
        remainder remainder_ rsub sign sign_ sub sub_ subtract subtract_ true_divide true_divide_
        """,
        "powers": """
        exp exp2 exp2_ exp_ expm1 expm1_ float_power float_power_ hypot hypot_ ldexp ldexp_ log
        log10 log10_ log1p log1p_ log2 log2_ log_ logaddexp logaddexp2 logaddexp2_ logaddexp_ pow
        pow_ rsqrt rsqrt_ sqrt sqrt_ square square_ xlogy xlogy_
        """,
        "trigonometric": """
        acos acos_ acosh acosh_ arccos arccos_ arccosh arccosh_ arcsin arcsin_ arcsinh arcsinh_
        arctan arctan2 arctan2_ arctan_ arctanh arctanh_ asin asin_ asinh asinh_ atan atan2 atan2_
        atan_ atanh atanh_ cos cos_ cosh cosh_ deg2rad deg2rad_ rad2deg rad2deg_ sin sin_ sinc sinc_
        sinh sinh_ tan tan_ tanh tanh_
        """,
        "rounding": """
        ceil ceil_ clamp clamp_ clamp_max clamp_max_ clamp_min clamp_min_ clip clip_ fix fix_ floor
        floor_ fmax fmin frac frac_ maximum minimum nan_to_num nan_to_num_ nextafter nextafter_
        round round_ trunc trunc_
        """,
        "comparison": """
        allclose bitwise_and bitwise_and_ bitwise_left_shift bitwise_left_shift_ bitwise_not
        bitwise_not_ bitwise_or bitwise_or_ bitwise_right_shift bitwise_right_shift_ bitwise_xor
        bitwise_xor_ eq eq_ equal ge ge_ greater greater_ greater_equal greater_equal_ gt gt_
        heaviside heaviside_ isclose isfinite isinf isnan isneginf isposinf le le_ less less_
        less_equal less_equal_ logical_and logical_and_ logical_not logical_not_ logical_or
        logical_or_ logical_xor logical_xor_ lt lt_ masked_fill ne ne_ not_equal not_equal_ signbit
        where
        """,
        "activations": """
        celu celu_ hardshrink prelu relu relu_ selu selu_ sigmoid sigmoid_ threshold threshold_
        """,
        "special": """
        digamma digamma_ erf erf_ erfc erfc_ erfinv erfinv_ i0 i0_ lgamma lgamma_ logit logit_
        mvlgamma mvlgamma_ polygamma
        """,
        "incomplete": """
        _dirichlet_grad _sample_dirichlet _standard_gamma _standard_gamma_grad binomial igamma
        igamma_ igammac igammac_
        """,
        "complex_numbers": """
        adjoint angle complex conj conj_physical conj_physical_ imag is_complex is_conj is_neg
        isreal polar real resolve_conj resolve_neg sgn sgn_ view_as_complex view_as_real
        """,
        "reductions": """
        all amax amin aminmax any argmax argmin argsort count_nonzero cummax cummin cumprod cumprod_
        cumsum cumsum_ logsumexp max mean min nanmean nansum norm prod sort std std_mean sum topk
        var var_mean
        """,
        "creation": """
        empty empty_like empty_strided full full_like ones ones_like scalar_tensor zeros zeros_like
        """,
        "sequences": """
        arange eye linspace logspace range tril_indices triu_indices
        """,
        "copies": """
        clone detach
        """,
        "shape": """
        as_strided as_strided_ atleast_1d atleast_2d atleast_3d broadcast_shapes broadcast_tensors
        broadcast_to chunk diagonal flatten moveaxis movedim narrow permute ravel reshape select
        split split_with_sizes squeeze squeeze_ swapaxes swapaxes_ swapdims swapdims_ t t_
        tensor_split transpose transpose_ unbind unflatten unsqueeze unsqueeze_
        """,
        "joining": """
        block_diag cat column_stack concat concatenate diag diag_embed dstack flip fliplr flipud
        hstack meshgrid repeat_interleave roll rot90 row_stack stack tile tril tril_ triu triu_
        vstack
        """,
        "parts": """
        diagflat diagonal_scatter dsplit hsplit select_scatter slice_scatter vsplit
        """,
        "indexing": """
        argwhere gather index_add index_add_ index_copy index_copy_ index_fill index_fill_ index_put
        index_put_ index_reduce index_reduce_ index_select masked_scatter masked_scatter_
        masked_select nonzero put put_ scatter scatter_ scatter_add scatter_add_ scatter_reduce
        scatter_reduce_ take take_along_dim
        """,
        "ordered": """
        bucketize isin msort searchsorted unique unique_consecutive
        """,
        "statistics": """
        bincount corrcoef cov histc histogram kthvalue median mode nanmedian nanquantile quantile
        """,
        "differences": """
        cumulative_trapezoid diff dist gradient logcumsumexp trapezoid trapz
        """,
        "linear": """
        addbmm addbmm_ addmm addmm_ addmv addmv_ addr addr_ baddbmm baddbmm_ bmm cross dot einsum
        ger inner kron matmul mm mv outer tensordot trace vdot
        """,
        "convolution": """
        conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
        """,
        "pooling": """
        adaptive_avg_pool1d adaptive_max_pool1d avg_pool1d max_pool1d max_pool2d max_pool3d
        """,
        "rearranging": """
        channel_shuffle pixel_shuffle pixel_unshuffle
        """,
        "grids": """
        grid_sampler
        """,
        "normalization": """
        cosine_similarity layer_norm log_softmax pairwise_distance rms_norm softmax
        """,
        "random": """
        bernoulli multinomial normal poisson rand rand_like randint randint_like randn randn_like
        randperm
        """,
        "dropouts": """
        alpha_dropout dropout feature_alpha_dropout rrelu
        """,
        "recurrent": """
        lstm_cell
        """,
        "solvers": """
        cholesky_inverse cholesky_solve det inverse logdet lu_solve pinverse slogdet
        """,
        "decompositions": """
        cholesky lu_unpack qr svd
        """,
        "matrices": """
        cdist matrix_exp matrix_power
        """,
        "windows": """
        bartlett_window blackman_window hamming_window hann_window kaiser_window
        """,
        "combinations": """
        cartesian_prod chain_matmul combinations pdist renorm renorm_ unravel_index vander
        """,
        "short_time": """
        istft stft
        """,
    },
    "Tensor": {
        "arithmetic": """
        abs abs_ absolute absolute_ add add_ addcdiv addcdiv_ addcmul addcmul_ copy_ copysign
        copysign_ div div_ divide divide_ floor_divide floor_divide_ fmod fmod_ gcd gcd_ lcm lcm_
        lerp lerp_ mul mul_ multiply multiply_ neg neg_ negative negative_ positive reciprocal
        reciprocal_ remainder remainder_ rsub sign sign_ sub sub_ subtract subtract_ true_divide
        true_divide_
        """,
        "powers": """
        exp exp2 exp2_ exp_ expm1 expm1_ float_power float_power_ hypot hypot_ ldexp ldexp_ log
        log10 log10_ log1p log1p_ log2 log2_ log_ logaddexp logaddexp2 logaddexp2_ logaddexp_ pow
        pow_ rsqrt rsqrt_ sqrt sqrt_ square square_ xlogy xlogy_
        """,
        "trigonometric": """
        acos acos_ acosh acosh_ arccos arccos_ arccosh arccosh_ arcsin arcsin_ arcsinh arcsinh_
        arctan arctan2 arctan2_ arctan_ arctanh arctanh_ asin asin_ asinh asinh_ atan atan2 atan2_
        atan_ atanh atanh_ cos cos_ cosh cosh_ deg2rad deg2rad_ rad2deg rad2deg_ sin sin_ sinc sinc_
        sinh sinh_ tan tan_ tanh tanh_
        """,
        "rounding": """
        ceil ceil_ clamp clamp_ clamp_max clamp_max_ clamp_min clamp_min_ clip clip_ fix fix_ floor
        floor_ fmax fmin frac frac_ maximum minimum nan_to_num nan_to_num_ nextafter nextafter_
        round round_ trunc trunc_
        """,
        "comparison": """
        allclose bitwise_and bitwise_and_ bitwise_left_shift bitwise_left_shift_ bitwise_not
        bitwise_not_ bitwise_or bitwise_or_ bitwise_right_shift bitwise_right_shift_ bitwise_xor
        bitwise_xor_ eq eq_ equal ge ge_ greater greater_ greater_equal greater_equal_ gt gt_
        heaviside heaviside_ isclose isfinite isinf isnan isneginf isposinf le le_ less less_
        less_equal less_equal_ logical_and logical_and_ logical_not logical_not_ logical_or
        logical_or_ logical_xor logical_xor_ lt lt_ masked_fill masked_fill_ ne ne_ not_equal
        not_equal_ signbit where
        """,
        "activations": """
        hardshrink prelu relu relu_ sigmoid sigmoid_
        """,
        "special": """
        digamma digamma_ erf erf_ erfc erfc_ erfinv erfinv_ i0 i0_ lgamma lgamma_ logit logit_
        mvlgamma mvlgamma_ polygamma polygamma_
        """,
        "incomplete": """
        igamma igamma_ igammac igammac_
        """,
        "complex_numbers": """
        adjoint angle conj conj_physical conj_physical_ isreal resolve_conj resolve_neg sgn sgn_
        """,
        "reductions": """
        all amax amin aminmax any argmax argmin argsort count_nonzero cummax cummin cumprod cumprod_
        cumsum cumsum_ logsumexp max mean min nanmean nansum norm prod sort std sum topk var
        """,
        "creation": """
        new_empty new_empty_strided new_full new_ones new_tensor new_zeros
        """,
        "copies": """
        apply_ cast clone contiguous detach map_ resize_ resize_as_
        """,
        "shape": """
        as_strided as_strided_ broadcast_to chunk diagonal expand expand_as flatten moveaxis movedim
        narrow permute ravel reshape reshape_as select split split_with_sizes squeeze squeeze_
        swapaxes swapaxes_ swapdims swapdims_ t t_ tensor_split transpose transpose_ unbind
        unflatten unfold unsqueeze unsqueeze_ view view_as
        """,
        "joining": """
        diag diag_embed flip fliplr flipud repeat repeat_interleave roll rot90 tile tril tril_ triu
        triu_
        """,
        "parts": """
        diagflat diagonal_scatter dsplit fill_diagonal_ hsplit select_scatter slice_scatter vsplit
        """,
        "indexing": """
        argwhere gather index_add index_add_ index_copy index_copy_ index_fill index_fill_ index_put
        index_put_ index_reduce index_reduce_ index_select masked_scatter masked_scatter_
        masked_select nonzero put put_ scatter scatter_ scatter_add scatter_add_ scatter_reduce
        scatter_reduce_ take take_along_dim
        """,
        "ordered": """
        msort unique unique_consecutive
        """,
        "statistics": """
        bincount corrcoef cov histc histogram kthvalue median mode nanmedian nanquantile quantile
        """,
        "differences": """
        diff dist gradient logcumsumexp sum_to_size
        """,
        "linear": """
        addbmm addbmm_ addmm addmm_ addmv addmv_ addr addr_ baddbmm baddbmm_ bmm cross dot ger inner
        kron matmul mm mv outer trace vdot
        """,
        "normalization": """
        log_softmax softmax
        """,
        "random": """
        bernoulli bernoulli_ cauchy_ exponential_ geometric_ log_normal_ multinomial normal_ random_
        uniform_
        """,
        "solvers": """
        cholesky_inverse cholesky_solve det inverse logdet lu_solve pinverse slogdet
        """,
        "decompositions": """
        cholesky qr svd
        """,
        "matrices": """
        matrix_exp matrix_power
        """,
        "combinations": """
        renorm renorm_
        """,
        "short_time": """
        istft stft
        """,
    },
    "nn.functional": {
        "trigonometric": """
        tanh
        """,
        "activations": """
        celu celu_ elu elu_ gelu hardshrink hardsigmoid hardsigmoid_ hardswish hardswish_ hardtanh
        hardtanh_ leaky_relu leaky_relu_ logsigmoid mish mish_ prelu relu relu6 relu6_ relu_ selu
        selu_ sigmoid silu silu_ softplus softshrink softsign tanhshrink threshold threshold_
        """,
        "joining": """
        pad
        """,
        "linear": """
        bilinear linear
        """,
        "convolution": """
        conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d
        """,
        "pooling": """
        adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
        adaptive_max_pool2d adaptive_max_pool3d avg_pool1d avg_pool2d avg_pool3d max_pool1d
        max_pool2d max_pool3d
        """,
        "pooling_variants": """
        fractional_max_pool2d fractional_max_pool3d lp_pool1d lp_pool2d lp_pool3d max_unpool1d
        max_unpool2d max_unpool3d
        """,
        "rearranging": """
        channel_shuffle fold pixel_shuffle pixel_unshuffle unfold
        """,
        "resampling": """
        interpolate upsample
        """,
        "grids": """
        affine_grid grid_sample
        """,
        "normalization": """
        batch_norm cosine_similarity glu group_norm instance_norm layer_norm local_response_norm
        log_softmax normalize pairwise_distance rms_norm softmax softmin
        """,
        "losses": """
        binary_cross_entropy binary_cross_entropy_with_logits gaussian_nll_loss huber_loss kl_div
        l1_loss mse_loss poisson_nll_loss smooth_l1_loss
        """,
        "class_losses": """
        cross_entropy linear_cross_entropy multi_margin_loss multilabel_margin_loss
        multilabel_soft_margin_loss nll_loss
        """,
        "margin_losses": """
        cosine_embedding_loss hinge_embedding_loss margin_ranking_loss soft_margin_loss
        triplet_margin_loss triplet_margin_with_distance_loss
        """,
        "ctc": """
        ctc_loss
        """,
        "dropouts": """
        alpha_dropout dropout dropout1d dropout2d dropout3d feature_alpha_dropout gumbel_softmax
        rrelu
        """,
        "tables": """
        embedding embedding_bag one_hot
        """,
        "attention": """
        scaled_dot_product_attention
        """,
        "multihead": """
        multi_head_attention_forward
        """,
        "combinations": """
        pdist
        """,
    },
    "special": {
        "powers": """
        exp2 expm1 log1p xlog1py xlogy
        """,
        "trigonometric": """
        sinc
        """,
        "rounding": """
        round
        """,
        "activations": """
        expit
        """,
        "special": """
        digamma entr erf erfc erfcx erfinv gammaln i0 i0e i1 i1e log_ndtr logit modified_bessel_i0
        modified_bessel_i1 multigammaln ndtr ndtri polygamma psi zeta
        """,
        "bessel": """
        airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1
        scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0
        """,
        "polynomials": """
        chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w
        hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p
        shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
        shifted_chebyshev_polynomial_w
        """,
        "incomplete": """
        gammainc gammaincc
        """,
        "reductions": """
        logsumexp
        """,
        "normalization": """
        log_softmax softmax
        """,
    },
    "linalg": {
        "reductions": """
        vector_norm
        """,
        "linear": """
        cross matmul
        """,
        "solvers": """
        det inv inv_ex lstsq lu_solve pinv slogdet solve solve_ex solve_triangular tensorinv
        tensorsolve
        """,
        "decompositions": """
        cholesky cholesky_ex eig eigh eigvals eigvalsh lu lu_factor lu_factor_ex qr svd svdvals
        """,
        "matrices": """
        cond diagonal matrix_exp matrix_norm matrix_power matrix_rank multi_dot norm vecdot
        """,
        "combinations": """
        vander
        """,
    },
    "fft": {
        "fourier": """
        fft fft2 fftfreq fftn fftshift hfft hfft2 hfftn ifft ifft2 ifftn ifftshift ihfft ihfft2
        ihfftn irfft irfft2 irfftn rfft rfft2 rfftfreq rfftn
        """,
    },
    "operator": {
        "arithmetic": """
        abs add floordiv mod mul neg pos sub truediv
        """,
        "powers": """
        pow
        """,
        "comparison": """
        and eq ge gt invert le lshift lt ne or rshift xor
        """,
        "linear": """
        matmul
        """,
    },
    "micro": {
        "arithmetic": """
        abs add copysign div floordiv fmod gcd mul neg reciprocal remainder sign sub
        """,
        "powers": """
        exp exp2 expm1 hypot log log10 log1p log2 pow rsqrt sqrt square
        """,
        "trigonometric": """
        acos acosh asin asinh atan atan2 atanh cos cosh sin sinh tan tanh
        """,
        "rounding": """
        ceil floor fmax fmin max min nextafter round trunc
        """,
        "comparison": """
        bitwise_and bitwise_not bitwise_or bitwise_xor eq ge gt isfinite isinf isnan le logical_and
        logical_not logical_or logical_xor lt ne select shift_left shift_right signbit
        """,
        "activations": """
        sigmoid
        """,
        "special": """
        digamma erf erfc erfcx erfinv i0 i0e i1 i1e lgamma polygamma zeta
        """,
        "incomplete": """
        gamma_slope gammainc gammaincc
        """,
    },
    "record": {
        "arithmetic": """
        abs add add.alpha addcdiv addcmul copy copysign div div.floor div.trunc floor_divide fmod
        gcd lcm lerp mul neg positive reciprocal remainder rsub rsub.alpha sign sub sub.alpha
        """,
        "powers": """
        exp exp2 expm1 hypot ldexp log log10 log1p log2 logaddexp logaddexp2 pow rsqrt
        special.xlog1py sqrt square xlogy
        """,
        "trigonometric": """
        acos acosh asin asinh atan atan2 atanh cos cosh deg2rad rad2deg sin sinc sinh tan tanh
        """,
        "rounding": """
        ceil clamp.both clamp_max clamp_min floor fmax fmin frac maximum minimum nan_to_num.numbers
        nextafter round round.decimals trunc
        """,
        "comparison": """
        bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor eq ge
        gt heaviside isclose.floating isfinite isinf isnan isneginf isposinf le logical_and
        logical_not logical_or logical_xor lt masked_fill ne signbit where
        """,
        "activations": """
        celu elu gelu gelu.tanh hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish
        prelu.slopes relu relu6 selu sigmoid silu softplus softshrink softsign tanhshrink threshold
        """,
        "special": """
        digamma erf erfc erfinv i0 lgamma logit.eps logit.whole polygamma special.entr special.erfcx
        special.i0e special.i1 special.i1e special.log_ndtr special.ndtr special.ndtri
        special.zeta.each
        """,
        "bessel": """
        special.airy_ai special.bessel_j0 special.bessel_j1 special.bessel_y0 special.bessel_y1
        special.modified_bessel_k0 special.modified_bessel_k1 special.scaled_modified_bessel_k0
        special.scaled_modified_bessel_k1 special.spherical_bessel_j0
        """,
        "incomplete": """
        _dirichlet_grad _standard_gamma_grad igamma.lower igammac.upper
        """,
        "complex_numbers": """
        angle complex conj_physical polar sgn
        """,
        "reductions": """
        ne.flat pow.flat sqrt.flat
        """,
        "losses": """
        binary_cross_entropy.each binary_cross_entropy_with_logits.each huber_loss.each l1_loss.each
        mse_loss.each smooth_l1_loss.each
        """,
        "margin_losses": """
        hinge_embedding_loss.each soft_margin_loss.each
        """,
    },
}

# By namespace (then for operators, micro-ops and elementwise records) the family of each name.
INDEX = {
    place: {name: family for family, words in families.items() for name in words.split()}
    for place, families in _FAMILIES.items()
}
