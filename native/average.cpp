// Group average linkage: the distance of two clusters is the mean over all pairs of their points.
//
// It is reducible as Ward's is, so that all pairs of mutual nearest neighbours can merge in one round. While clusters
// are small no matrix is needed, see groups.h: as a rule a tenth of the points' number is left for one. That matrix is
// updated in place, row by row, and moved together when a fifth of its clusters are gone.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "clustering.h"
#include "clusters.h"
#include "dendrogram.h"
#include "distances.h"
#include "groups.h"
#include "neighbors.h"
#include "team.h"

namespace ovsr {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kRows = 16;  // that a thread takes at once
constexpr double kWorthThreads = 1e6;  // entries of the matrix to be read

struct Free {
  void operator()(double* values) const { std::free(values); }
};
using Buffer = std::unique_ptr<double[], Free>;

// Not set to anything. In huge pages where the system has them: most of the time would go into mapping small ones.
Buffer allocate(int64_t count) {
  constexpr size_t kHugePage = size_t{1} << 21;
  const size_t num_bytes = (count * sizeof(double) + kHugePage - 1) / kHugePage * kHugePage;
  void* memory = std::aligned_alloc(kHugePage, num_bytes);
  if (memory == nullptr) throw std::bad_alloc();
#ifdef __linux__
  madvise(memory, num_bytes, MADV_HUGEPAGE);  // a wish: what it says does not matter
#endif
  return Buffer(static_cast<double*>(memory));
}

class Average {
 public:
  Average(const double* points, int64_t num_points, int64_t num_dims, int num_threads, int vector_level)
      : tree_(num_points),
        team_(useful_threads(num_threads, num_points, num_dims)),
        kernels_(choose_kernels(vector_level)) {
    std::vector<double> standardized;
    int64_t num_kept = 0;
    scale_ = standardize(points, num_points, num_dims, standardized, num_kept);
    Clusters clusters = merge_equal(standardized, num_points, num_kept, tree_);
    if (clusters.count() < 2) return;
    Groups groups(std::move(clusters));
    merge_groups(groups, tree_, team_, vector_level);
    fill_matrix(groups);
  }

  const Dendrogram& run() {
    while (num_left_ > 1) {
      find_nearest();
      find_pairs();
      merge_pairs();
    }
    for (double& height : tree_.heights) height *= scale_;
    return tree_;
  }

 private:
  struct Union {
    int32_t first, second;
    double share;  // of the first
  };

  double* row(int64_t cluster) { return &matrix_[cluster * size_]; }

  void fill_matrix(const Groups& groups) {
    const Clusters& clusters = groups.clusters;
    const int64_t num_points = groups.num_points(), num_dims = clusters.num_dims;
    size_ = num_left_ = clusters.count();
    ids_ = clusters.ids;
    formed_ = clusters.formed;
    sizes_ = clusters.sizes;
    penalties_.assign(size_, 0.0);
    nearest_.assign(size_, 0);
    distances_.assign(size_, 0.0);
    states_.assign(size_, State::kStale);
    // Columns that are a power of two apart would fall into the same lines of a cache.
    const int64_t stride = (num_points + 15) / 16 * 16 + 8;
    std::vector<double> columns(stride * num_dims), shares(num_points);
    for (int64_t cluster = 0; cluster < size_; ++cluster) {
      for (int64_t point = groups.begins[cluster]; point < groups.begins[cluster + 1]; ++point) {
        shares[point] = groups.weights[point] / sizes_[cluster];
        for (int64_t dim = 0; dim < num_dims; ++dim) {
          columns[dim * stride + point] = groups.points[point * num_dims + dim];
        }
      }
    }
    matrix_ = allocate(size_ * size_);
    std::vector<std::vector<double>> sums_of(team_.size(), std::vector<double>(num_points));
    team_.for_chunks(size_, kRows, [&](int64_t begin, int64_t end, int member) {
      double* sums = sums_of[member].data();  // of distances to each point from one cluster's points
      for (int64_t cluster = begin; cluster < end; ++cluster) {
        const int64_t first = groups.begins[cluster], last = groups.begins[cluster + 1];
        kernels_.measure(&groups.points[first * num_dims], &shares[first], last - first, &columns[last], stride,
                         num_points - last, &shares[last], num_dims, sums + last);
        row(cluster)[cluster] = kInfinity;
        for (int64_t other = cluster + 1; other < size_; ++other) {
          double sum = 0.0;
          for (int64_t point = groups.begins[other]; point < groups.begins[other + 1]; ++point) sum += sums[point];
          row(cluster)[other] = row(other)[cluster] = sum;
        }
      }
    });
  }

  void find_nearest() {
    rows_.clear();
    for (int64_t i = 0; i < size_; ++i) {
      if (states_[i] == State::kStale || states_[i] == State::kMerged) rows_.push_back(i);
    }
    const int64_t num_rows = static_cast<int64_t>(rows_.size());
    team_.for_chunks(num_rows, chunk(num_rows), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t self = rows_[i];
        const double *own = row(self), smallest = kernels_.least(own, penalties_.data(), size_);
        int64_t nearest = 0;
        while (own[nearest] + penalties_[nearest] != smallest) ++nearest;
        nearest_[self] = nearest;
        distances_[self] = smallest;
        states_[self] = State::kKnown;
      }
    });
  }

  void find_pairs() {
    pairs_.clear();
    int64_t closest = -1;
    for (int64_t i = 0; i < size_; ++i) {
      if (states_[i] == State::kGone) continue;
      if (i < nearest_[i] && nearest_[nearest_[i]] == i) pairs_.push_back(i);
      if (closest < 0 || distances_[i] < distances_[closest]) closest = i;
    }
    if (pairs_.empty()) pairs_.push_back(closest);  // see NeighborFinder's
  }

  void merge_pairs() {
    unions_.clear();
    for (const int64_t first : pairs_) {
      const int64_t second = nearest_[first];
      const double height = std::max({distances_[first], formed_[first], formed_[second]});
      const double size = sizes_[first] + sizes_[second];
      unions_.push_back({static_cast<int32_t>(first), static_cast<int32_t>(second), sizes_[first] / size});
      kernels_.blend(unions_.back().share, row(second), size_, row(first));
      ids_[first] = tree_.add(ids_[first], ids_[second], height);
      formed_[first] = height;
      sizes_[first] = size;
      states_[first] = State::kMerged;
      states_[second] = State::kGone;
      penalties_[second] = kInfinity;
    }
    num_left_ -= static_cast<int64_t>(pairs_.size());
    for (int64_t i = 0; i < size_; ++i) {
      if (states_[i] == State::kKnown && states_[nearest_[i]] >= State::kMerged) states_[i] = State::kStale;
    }
    if (num_left_ < 4 * size_ / 5) {
      move_together();
    } else {
      team_.for_chunks(size_, chunk(2 * static_cast<int64_t>(unions_.size())), [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          if (states_[i] != State::kGone) unite_columns(i);
        }
      });
    }
  }

  void unite_columns(int64_t cluster) {
    double* own = row(cluster);
    // The next row comes from far away, and is not read in order.
    const double* next = own + size_;
    for (int64_t j = 0; j < size_ && cluster + 1 < size_; j += 8) __builtin_prefetch(next + j);
    for (const Union& pair : unions_) {
      own[pair.first] = pair.share * own[pair.first] + (1.0 - pair.share) * own[pair.second];
    }
    if (states_[cluster] == State::kMerged) own[cluster] = kInfinity;
  }

  // Rows a thread takes at once when `others` entries of each are read; all of them where that is little.
  int64_t chunk(int64_t others) const { return double(size_) * others < kWorthThreads ? size_ : kRows; }

  // Unites columns too, while a row is at hand.
  void move_together() {
    std::vector<int32_t> left, place(size_, 0);
    for (int64_t i = 0; i < size_; ++i) {
      if (states_[i] == State::kGone) continue;
      place[i] = static_cast<int32_t>(left.size());
      left.push_back(static_cast<int32_t>(i));
    }
    const int64_t new_size = static_cast<int64_t>(left.size());
    for (int64_t begin = 0; begin < new_size;) {
      // Rows that may be written at once: up to where the first that is still to be read begins.
      const int64_t end = std::clamp(left[begin] * size_ / new_size, begin + 1, new_size);
      team_.for_chunks(end - begin, chunk(new_size), [&](int64_t first, int64_t last, int) {
        for (int64_t i = begin + first; i < begin + last; ++i) {
          unite_columns(left[i]);
          const double* from = row(left[i]);
          double* to = &matrix_[i * new_size];
          for (int64_t j = 0; j < new_size; ++j) to[j] = from[left[j]];
        }
      });
      begin = end;
    }
    for (int64_t i = 0; i < new_size; ++i) {
      const int64_t old = left[i];
      nearest_[i] = place[nearest_[old]];
      distances_[i] = distances_[old];
      states_[i] = states_[old];
      ids_[i] = ids_[old];
      formed_[i] = formed_[old];
      sizes_[i] = sizes_[old];
    }
    size_ = new_size;
    penalties_.assign(size_, 0.0);
  }

  Dendrogram tree_;
  Team team_;
  const RowKernels& kernels_;
  double scale_ = 1.0;

  int64_t size_ = 0, num_left_ = 1;
  Buffer matrix_;                     // (size, size) mean distances, infinite on the diagonal
  std::vector<double> penalties_;     // infinite for clusters that are gone
  std::vector<double> sizes_, formed_, distances_;
  std::vector<int64_t> ids_, nearest_, rows_, pairs_;
  std::vector<State> states_;
  std::vector<Union> unions_;  // of a round
};

}  // namespace
}  // namespace ovsr

extern "C" int32_t ovsr_average(const double* points, int64_t num_points, int64_t num_dims, int32_t num_threads,
                                int32_t vector_level, int64_t* merges, double* heights) {
  if (num_points < 1 || num_points > std::numeric_limits<int32_t>::max() || num_dims < 0) return OVSR_BAD_ARGUMENT;
  try {
    ovsr::Average average(points, num_points, num_dims, num_threads, vector_level);
    average.run().write_sorted(merges, heights);
  } catch (const std::bad_alloc&) {
    return OVSR_OUT_OF_MEMORY;
  }
  return OVSR_OK;
}
