// Hierarchical clustering on the CPU, and what moves the clusters' borders to an image's edges, with a plain C interface:
// no Python headers, so one library serves every Python.
#pragma once

#include <cstdint>

#define OVSR_EXPORT __attribute__((visibility("default")))

enum OvsrStatus : int32_t { OVSR_OK = 0, OVSR_OUT_OF_MEMORY = 1, OVSR_BAD_ARGUMENT = 2 };

extern "C" {

// Raised with every change of this file; ovsr_ros/ops/native.py has the number that it can talk to.
OVSR_EXPORT int32_t ovsr_clustering_abi_version();

// points: (num_points, num_dims), finite. merges: (num_points - 1, 2); a value below num_points is a point, num_points
// + i the cluster that merge i made. heights: (num_points - 1), never descending. vector_level: the widest vectors that
// may be used, of those that this machine has: 0 what every machine of its kind has, 1 AVX2, 2 AVX-512.
OVSR_EXPORT int32_t ovsr_ward(const double* points, int64_t num_points, int64_t num_dims, int32_t num_threads,
                              int32_t vector_level, int64_t* merges, double* heights);

// The same for group average linkage; takes memory for num_points^2 distances at most, as a rule for 256^2.
OVSR_EXPORT int32_t ovsr_average(const double* points, int64_t num_points, int64_t num_dims, int32_t num_threads,
                                 int32_t vector_level, int64_t* merges, double* heights);

// The same for group average linkage of squared distances, whose heights are mean squares.
OVSR_EXPORT int32_t ovsr_average_squared(const double* points, int64_t num_points, int64_t num_dims,
                                         int32_t num_threads, int32_t vector_level, int64_t* merges,
                                         double* heights);

// Which label wins each pixel of a target when cells' labels are led along an image's colours by a guided filter.
// labels: (rows, columns), 0 to num_labels - 1. guide, target: the image's red, green and blue, each (rows, columns) of
// its own, at the size at which the filter works, and at that of the result. radius: of the windows, in pixels of the
// guide; epsilon: the ridge, a variance of colours in [0, 1]. winners: (target_rows, target_columns).
OVSR_EXPORT int32_t ovsr_guided_labels(const int64_t* labels, int64_t rows, int64_t columns, int64_t num_labels,
                                       const uint8_t* guide, int64_t guide_rows, int64_t guide_columns,
                                       const uint8_t* target, int64_t target_rows, int64_t target_columns,
                                       int64_t radius, double epsilon, int32_t num_threads, int32_t vector_level,
                                       int64_t* winners);

}  // extern "C"
