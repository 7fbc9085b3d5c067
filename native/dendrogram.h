// The tree of merges, in the order in which they are found, and sorted for the caller.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace ovsr {

struct Dendrogram {
  explicit Dendrogram(int64_t points) : num_points(points) {
    merges.reserve(2 * (points - 1));
    heights.reserve(points - 1);
  }

  // The id of the cluster that the merge makes.
  int64_t add(int64_t first, int64_t second, double height) {
    merges.push_back(first);
    merges.push_back(second);
    heights.push_back(height);
    return num_points + static_cast<int64_t>(heights.size()) - 1;
  }

  // By height; equal heights keep the order in which they were made, so that parts come before their union.
  void write_sorted(int64_t* sorted_merges, double* sorted_heights) const {
    const int64_t num_merges = static_cast<int64_t>(heights.size());
    std::vector<int64_t> order(num_merges), new_id(num_points + num_merges);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return heights[a] < heights[b]; });
    std::iota(new_id.begin(), new_id.begin() + num_points, 0);
    for (int64_t i = 0; i < num_merges; ++i) new_id[num_points + order[i]] = num_points + i;
    for (int64_t i = 0; i < num_merges; ++i) {
      sorted_merges[2 * i] = new_id[merges[2 * order[i]]];
      sorted_merges[2 * i + 1] = new_id[merges[2 * order[i] + 1]];
      sorted_heights[i] = heights[order[i]];
    }
  }

  int64_t num_points;
  std::vector<int64_t> merges;
  std::vector<double> heights;
};

}  // namespace ovsr
