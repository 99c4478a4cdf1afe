// The table of one instruction set, filled by the files beside this one.
#include "machine/kernels.h"

namespace versant::isa::VERSANT_ISA {

void fill_convert(Kernels&);
void fill_arithmetic(Kernels&);
void fill_compare(Kernels&);
void fill_exponential(Kernels&);
void fill_trigonometric(Kernels&);
void fill_special(Kernels&);
void fill_super(Kernels&);
void fill_gemm(Kernels&);
void fill_gemm_bf16_wide(Kernels&);
void fill_gemm_bf16(Kernels&);
void fill_gemm_bf16_tiles(Kernels&);
void fill_conv(Kernels&);
void fill_convolution(Kernels&);
void fill_reduce(Kernels&);
void fill_random(Kernels&);
void fill_optimizer(Kernels&);
void fill_scale(Kernels&);
void fill_stream(Kernels&);
void fill_lines(Kernels&);
void fill_attention(Kernels&);
void fill_row_norm(Kernels&);
void fill_recurrent(Kernels&);
void fill_batch_norm(Kernels&);
void fill_magnitude(Kernels&);

#define VERSANT_STRING(x) #x
#define VERSANT_NAME(x) VERSANT_STRING(x)

const Kernels& table() {
  static const Kernels filled = [] {
    Kernels k{};
    k.isa = VERSANT_NAME(VERSANT_ISA);
    fill_convert(k);
    fill_arithmetic(k);
    fill_compare(k);
    fill_exponential(k);
    fill_trigonometric(k);
    fill_special(k);
    fill_super(k);
    fill_gemm(k);
    fill_gemm_bf16_wide(k);
    fill_gemm_bf16(k);
    fill_gemm_bf16_tiles(k);
    fill_conv(k);
    fill_convolution(k);
    fill_reduce(k);
    fill_random(k);
    fill_optimizer(k);
    fill_scale(k);
    fill_stream(k);
    fill_lines(k);
    fill_attention(k);
    fill_row_norm(k);
    fill_recurrent(k);
    fill_batch_norm(k);
    fill_magnitude(k);
    return k;
  }();
  return filled;
}

}  // namespace versant::isa::VERSANT_ISA
