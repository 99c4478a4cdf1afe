// The elementwise parts of recurrent cells, each as one pass.
#include "machine/kernels.h"
#include "machine/vecmath_exp.h"

namespace versant::isa::VERSANT_ISA {

namespace {

template <class T>
[[gnu::flatten]] void lstm_forward(const LstmStep& step) {
  for (std::ptrdiff_t r = 0; r < step.rows; ++r) {
    const std::ptrdiff_t at = r * step.width;
    T* const i = static_cast<T*>(step.gates) + at;
    T* const f = i + step.plane;
    T* const g = f + step.plane;
    T* const o = g + step.plane;
    T* const bent = o + step.plane;
    const T* const c = static_cast<const T*>(step.c) + at;
    T* const h = static_cast<T*>(step.h) + at;
    T* const c_next = static_cast<T*>(step.c_next) + at;
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < step.n; ++j) i[j] = sigmoid(i[j]);
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < step.n; ++j) f[j] = sigmoid(f[j]);
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < step.n; ++j) g[j] = tanh(g[j]);
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < step.n; ++j) o[j] = sigmoid(o[j]);
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < step.n; ++j) {
      const T state = f[j] * c[j] + i[j] * g[j], value = tanh(state);
      c_next[j] = state;
      bent[j] = value;
      h[j] = o[j] * value;
    }
  }
}

template <class T>
void lstm_backward(const LstmStep& step) {
  for (std::ptrdiff_t r = 0; r < step.rows; ++r) {
    const std::ptrdiff_t at = r * step.width;
    const T* const i = static_cast<const T*>(step.gates) + at;
    const T* const f = i + step.plane;
    const T* const g = f + step.plane;
    const T* const o = g + step.plane;
    const T* const bent = o + step.plane;
    const T* const c = static_cast<const T*>(step.c) + at;
    const T* const dh = static_cast<const T*>(step.dh) + at;
    const T* const dc_next = static_cast<const T*>(step.dc_next) + at;
    T* const dc = static_cast<T*>(step.dc) + at;
    T* const di = static_cast<T*>(step.d_sums) + 4 * at;
    T* const df = di + step.width;
    T* const dg = df + step.width;
    T* const d_o = dg + step.width;
#pragma GCC ivdep
    for (std::ptrdiff_t j = 0; j < step.n; ++j) {
      const T slope = dc_next[j] + dh[j] * o[j] * (1 - bent[j] * bent[j]);
      d_o[j] = dh[j] * bent[j] * (o[j] * (1 - o[j]));
      di[j] = slope * g[j] * (i[j] * (1 - i[j]));
      df[j] = slope * c[j] * (f[j] * (1 - f[j]));
      dg[j] = slope * i[j] * (1 - g[j] * g[j]);
      dc[j] = slope * f[j];
    }
  }
}

}  // namespace

void fill_recurrent(Kernels& k) {
  k.lstm_forward[0] = lstm_forward<float>;
  k.lstm_forward[1] = lstm_forward<double>;
  k.lstm_backward[0] = lstm_backward<float>;
  k.lstm_backward[1] = lstm_backward<double>;
}

}  // namespace versant::isa::VERSANT_ISA
