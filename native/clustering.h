// Hierarchical clustering on the CPU, what moves the clusters' borders to an image's edges, and what follows them from
// image to image, with a plain C interface: no Python headers, so one library serves every Python.
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

// Evidence: of each cell of a grid (rows, columns) the maps that are not 0 there, in ascending order, and how much.
// starts: (cells + 1), where a cell's entries begin; maps, values: (entries). What comes out has at most
// OVSR_MOST_MAPS entries a cell, for which there must be room; the return value is their number, or below 0 minus an
// OvsrStatus.
#define OVSR_MOST_MAPS 8

// Evidence where it is now: interpolated bilinearly at each cell's origin (rows, columns, 2) x, y, times belief (rows,
// columns). Values too small to matter are left out, and so are the smallest where there would be too many.
OVSR_EXPORT int32_t ovsr_evidence_carry(const int32_t* starts, const uint16_t* maps, const float* values, int64_t rows,
                                        int64_t columns, int64_t num_maps, const float* origins, const float* belief,
                                        int32_t* new_starts, uint16_t* new_maps, float* new_values);

// Evidence times memory, and what is then missing to 1 for the map that map_of_label has for each cell's label (cells,
// 0 to num_labels - 1).
OVSR_EXPORT int32_t ovsr_evidence_gather(const int32_t* starts, const uint16_t* maps, const float* values,
                                         int64_t num_cells, const int64_t* labels, int64_t num_labels,
                                         const int64_t* map_of_label, int64_t num_maps, float memory,
                                         int32_t* new_starts, uint16_t* new_maps, float* new_values);

// Each map under another number, ascending as before; -1: left out. lent: (num_maps), the share of each map's values
// that map 0 gets beside.
OVSR_EXPORT int32_t ovsr_evidence_take(const int32_t* starts, const uint16_t* maps, const float* values,
                                       int64_t num_cells, const int64_t* new_number, const float* lent,
                                       int64_t num_maps, int32_t* new_starts, uint16_t* new_maps, float* new_values);

// How much of each map lies on each label, (num_maps, num_labels), summed over every stride-th cell of every stride-th
// row; and the highest value of each map in any cell, peaks (num_maps).
OVSR_EXPORT int32_t ovsr_evidence_overlaps(const int32_t* starts, const uint16_t* maps, const float* values,
                                           int64_t rows, int64_t columns, int64_t num_maps, const int64_t* labels,
                                           int64_t num_labels, int64_t stride, float* sums, float* peaks);

// The map with most evidence in each cell, the first of equals, 0 where there is none; in how many cells each wins, and
// its highest value, both (num_maps).
OVSR_EXPORT int32_t ovsr_evidence_winners(const int32_t* starts, const uint16_t* maps, const float* values,
                                          int64_t num_cells, int64_t num_maps, int64_t* winners, int64_t* num_won,
                                          float* peaks);

// Winners of cells at another resolution: of those in the four cells around a pixel the one that has most once evidence
// is interpolated bilinearly (half-pixel centres), the first of equals.
OVSR_EXPORT int32_t ovsr_evidence_upsample(const int32_t* starts, const uint16_t* maps, const float* values,
                                           int64_t rows, int64_t columns, const int64_t* winners, int64_t new_rows,
                                           int64_t new_columns, int32_t* labels);

}  // extern "C"
