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

OVSR_INLINE void measure(const double* points, const double* factors, int64_t num_points, const double* columns,
                         int64_t stride, int64_t num_columns, const double* weights, int64_t num_dims, double* out) {
  for (int64_t first = 0; first < num_columns; first += kBlock) {
    const int64_t width = std::min<int64_t>(kBlock, num_columns - first);
    double total[kBlock] = {};
    for (int64_t i = 0; i < num_points; ++i) {
      const double* own = points + i * num_dims;
      double sum[kBlock] = {};
      if (width == kBlock) {
        sum_block(own, columns + first, num_dims, stride, sum);
      } else {
        for (int64_t dim = 0; dim < num_dims; ++dim) {
          const double* row = columns + dim * stride + first;
          for (int64_t j = 0; j < width; ++j) sum[j] += (row[j] - own[dim]) * (row[j] - own[dim]);
        }
      }
#ifdef __GNUC__
      // Else GCC keeps the first vector in registers, takes it apart, and takes its roots one by one.
      __asm__ volatile("" : : "r"(sum) : "memory");
#endif
#pragma omp simd
      for (int64_t j = 0; j < kBlock; ++j) total[j] += factors[i] * std::sqrt(sum[j]);
    }
#pragma omp simd
    for (int64_t j = 0; j < width; ++j) out[first + j] = weights[first + j] * total[j];
  }
}

OVSR_INLINE double sum_between(const double* points, const double* factors, int64_t count, const double* others,
                               const double* weights, int64_t num_others, int64_t num_dims) {
  double total = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const double* own = points + i * num_dims;
    double partial = 0.0;
    for (int64_t j = 0; j < num_others; ++j) {
      const double* other = others + j * num_dims;
      double sum = 0.0;
#pragma omp simd reduction(+ : sum)
      for (int64_t dim = 0; dim < num_dims; ++dim) sum += (own[dim] - other[dim]) * (own[dim] - other[dim]);
      partial += weights[j] * std::sqrt(sum);
    }
    total += factors[i] * partial;
  }
  return total;
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
  TARGET void measure_##NAME(const double* points, const double* factors, int64_t num_points, const double* columns, \
                             int64_t stride, int64_t num_columns, const double* weights, int64_t num_dims,         \
                             double* out) {                                                                        \
    measure(points, factors, num_points, columns, stride, num_columns, weights, num_dims, out);                    \
  }                                                                                                                \
  TARGET double sum_between_##NAME(const double* points, const double* factors, int64_t count, const double* others, \
                                   const double* weights, int64_t num_others, int64_t num_dims) {                \
    return sum_between(points, factors, count, others, weights, num_others, num_dims);                             \
  }                                                                                                                \
  TARGET void blend_##NAME(double share, const double* second, int64_t count, double* first) {                     \
    blend(share, second, count, first);                                                                            \
  }                                                                                                                \
  TARGET double least_##NAME(const double* row, const double* penalty, int64_t count) {                            \
    return least(row, penalty, count);                                                                             \
  }                                                                                                                \
  const RowKernels kernels_##NAME{measure_##NAME, sum_between_##NAME, blend_##NAME, least_##NAME};

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
