// Hierarchical clustering on the CPU, with a plain C interface: no Python headers, so one library serves every Python.
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

}  // extern "C"
