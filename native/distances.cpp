#include "distances.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "search.h"

namespace ovsr {
namespace {

constexpr int kBlock = 64;

#define OVSR_INLINE static inline __attribute__((always_inline))

OVSR_INLINE void measure(const double* own, const double* coordinates, int64_t num_dims, int64_t stride, int64_t begin,
                         int64_t end, double* distances) {
  for (int64_t first = begin; first < end; first += kBlock) {
    const int64_t count = std::min<int64_t>(kBlock, end - first);
    double sum[kBlock] = {};
    for (int64_t dim = 0; dim < num_dims; ++dim) {
      const double value = own[dim];
      const double* row = coordinates + dim * stride + first;
      if (count == kBlock) {
#pragma omp simd
        for (int j = 0; j < kBlock; ++j) sum[j] += (row[j] - value) * (row[j] - value);
      } else {
        for (int64_t j = 0; j < count; ++j) sum[j] += (row[j] - value) * (row[j] - value);
      }
    }
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) distances[first + j] = std::sqrt(sum[j]);
  }
}

OVSR_INLINE void accumulate(double factor, const double* weights, const double* distances, int64_t begin, int64_t end,
                            double* row) {
#pragma omp simd
  for (int64_t j = begin; j < end; ++j) row[j] += factor * weights[j] * distances[j];
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
                             int64_t begin, int64_t end, double* distances) {                                      \
    measure(own, coordinates, num_dims, stride, begin, end, distances);                                            \
  }                                                                                                                \
  TARGET void accumulate_##NAME(double factor, const double* weights, const double* distances, int64_t begin,      \
                                int64_t end, double* row) {                                                        \
    accumulate(factor, weights, distances, begin, end, row);                                                       \
  }                                                                                                                \
  TARGET void blend_##NAME(double share, const double* second, int64_t count, double* first) {                     \
    blend(share, second, count, first);                                                                            \
  }                                                                                                                \
  TARGET double least_##NAME(const double* row, const double* penalty, int64_t count) {                            \
    return least(row, penalty, count);                                                                             \
  }                                                                                                                \
  const RowKernels kernels_##NAME{measure_##NAME, accumulate_##NAME, blend_##NAME, least_##NAME};

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
