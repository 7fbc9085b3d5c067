// Distances in float64, and what average linkage does to rows of them.
#pragma once

#include <cstdint>

namespace ovsr {

// Functions over arrays that do not overlap, compiled for the vectors that a machine may have.
struct RowKernels {
  // out[j] = weights[j] * sum over i of factors[i] * |point i - column j|, j < num_columns; points: row by row,
  // column j has its coordinates at columns[dim * stride + j].
  void (*measure)(const double* points, const double* factors, int64_t num_points, const double* columns,
                  int64_t stride, int64_t num_columns, const double* weights, int64_t num_dims, double* out);
  // The sum over all pairs of factors[i] * weights[j] * |point i - point j|, points row by row.
  double (*sum_between)(const double* points, const double* factors, int64_t count, const double* others,
                        const double* weights, int64_t num_others, int64_t num_dims);
  // first[j] = share * first[j] + (1 - share) * second[j] for j < count
  void (*blend)(double share, const double* second, int64_t count, double* first);
  // The least of row[j] + penalty[j], j < count.
  double (*least)(const double* row, const double* penalty, int64_t count);
};

const RowKernels& choose_kernels(int vector_level);

}  // namespace ovsr
