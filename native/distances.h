// Distances in float64, and what average linkage does to rows of them.
#pragma once

#include <cstdint>

namespace ovsr {

// Functions over arrays that do not overlap, compiled for the vectors that a machine may have.
struct RowKernels {
  // out[j] (+)= factor * weights[j] * |own - point j| for j < count; own: (num_dims), point j has its coordinates at
  // coordinates[dim * stride + j]. adds: whether to what out holds.
  void (*measure)(const double* own, const double* coordinates, int64_t num_dims, int64_t stride, int64_t count,
                  double factor, const double* weights, bool adds, double* out);
  // first[j] = share * first[j] + (1 - share) * second[j] for j < count
  void (*blend)(double share, const double* second, int64_t count, double* first);
  // The least of row[j] + penalty[j], j < count.
  double (*least)(const double* row, const double* penalty, int64_t count);
};

const RowKernels& choose_kernels(int vector_level);

}  // namespace ovsr
