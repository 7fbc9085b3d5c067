#include "distances.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "search.h"

namespace ovsr {
namespace {

constexpr int kBlock = 64, kLanes = 8;
typedef double Lanes __attribute__((vector_size(kLanes * sizeof(double))));

#define OVSR_INLINE static inline __attribute__((always_inline))

// Squared distances of a whole block, kept in registers.
OVSR_INLINE void sum_block(const double* own, const double* coordinates, int64_t num_dims, int64_t stride,
                           double* squares) {
  Lanes sum[kBlock / kLanes] = {};
  for (int64_t dim = 0; dim < num_dims; ++dim) {
    const double value = own[dim];
#pragma GCC unroll 8
    for (int v = 0; v < kBlock / kLanes; ++v) {
      Lanes other;
      std::memcpy(&other, coordinates + dim * stride + v * kLanes, sizeof(Lanes));
      other -= value;
      sum[v] += other * other;
    }
  }
  std::memcpy(squares, sum, sizeof sum);
}

OVSR_INLINE void measure(const double* own, const double* coordinates, int64_t num_dims, int64_t stride, int64_t count,
                         double factor, const double* weights, bool adds, double* out) {
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t width = std::min<int64_t>(kBlock, count - first);
    double sum[kBlock] = {};
    if (width == kBlock) {
      sum_block(own, coordinates + first, num_dims, stride, sum);
    } else {
      for (int64_t dim = 0; dim < num_dims; ++dim) {
        const double* row = coordinates + dim * stride + first;
        for (int64_t j = 0; j < width; ++j) sum[j] += (row[j] - own[dim]) * (row[j] - own[dim]);
      }
    }
    if (adds) {
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) out[first + j] += factor * weights[first + j] * std::sqrt(sum[j]);
    } else {
#pragma omp simd
      for (int64_t j = 0; j < width; ++j) out[first + j] = factor * weights[first + j] * std::sqrt(sum[j]);
    }
  }
}

OVSR_INLINE void blend(double share, const double* second, int64_t count, double* first) {
  const double rest = 1.0 - share;
#pragma omp simd
  for (int64_t j = 0; j < count; ++j) first[j] = share * first[j] + rest * second[j];
}

OVSR_INLINE double least(const double* row, const double* penalty, int64_t count) {
  double smallest = std::numeric_limits<double>::infinity();
#pragma omp simd reduction(min : smallest)
  for (int64_t j = 0; j < count; ++j) {
    const double value = row[j] + penalty[j];
    smallest = value < smallest ? value : smallest;
  }
  return smallest;
}

#define OVSR_VARIANT(NAME, TARGET)                                                                                 \
  TARGET void measure_##NAME(const double* own, const double* coordinates, int64_t num_dims, int64_t stride,       \
                             int64_t count, double factor, const double* weights, bool adds, double* out) {        \
    measure(own, coordinates, num_dims, stride, count, factor, weights, adds, out);                                \
  }                                                                                                                \
  TARGET void blend_##NAME(double share, const double* second, int64_t count, double* first) {                     \
    blend(share, second, count, first);                                                                            \
  }                                                                                                                \
  TARGET double least_##NAME(const double* row, const double* penalty, int64_t count) {                            \
    return least(row, penalty, count);                                                                             \
  }                                                                                                                \
  const RowKernels kernels_##NAME{measure_##NAME, blend_##NAME, least_##NAME};

OVSR_VARIANT(portable, )
#ifdef OVSR_X86
OVSR_VARIANT(avx2, __attribute__((target("avx2,fma"))))
OVSR_VARIANT(avx512, __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512"))))
#endif

}  // namespace

const RowKernels& choose_kernels(int vector_level) {
#ifdef OVSR_X86
  const int level = supported_level(vector_level);
  if (level == 2) return kernels_avx512;
  if (level == 1) return kernels_avx2;
#endif
  (void)vector_level;
  return kernels_portable;
}

}  // namespace ovsr
