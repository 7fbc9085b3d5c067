// Group average linkage: the distance of two clusters is the mean over all pairs of their points.
//
// It is reducible as Ward's is, so that all pairs of mutual nearest neighbours can merge in one round. The first round
// needs no matrix, since clusters are points then; it leaves about two thirds of them, and a matrix of less than half
// the size. That matrix is updated in place, row by row, and moved together when a fifth of its clusters are gone.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "clustering.h"
#include "clusters.h"
#include "dendrogram.h"
#include "distances.h"
#include "neighbors.h"
#include "team.h"

namespace ovsr {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kRows = 16;
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
    weights_ = clusters.sizes;  // the distance of equal points to others is that of one
    std::fill(clusters.sizes.begin(), clusters.sizes.end(), 1.0);
    reorder_with_weights(clusters);
    NeighborFinder(team_, num_kept, vector_level).find(clusters);
    merge_points(clusters);
    fill_matrix();
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

  void reorder_with_weights(Clusters& clusters) {
    clusters.formed = weights_;  // travels along; not needed for anything else here
    reorder(clusters);
    weights_ = clusters.formed;
  }

  // The first round. Pairs become clusters 0 to num_pairs, the other points those after them.
  void merge_points(const Clusters& clusters) {
    std::vector<int32_t> pairs, points;
    ovsr::find_pairs(clusters, pairs);
    std::vector<uint8_t> is_paired(clusters.count(), 0);
    for (const int32_t first : pairs) {
      const int32_t second = clusters.nearest[first];
      is_paired[first] = is_paired[second] = 1;
      points.push_back(first);
      ids_.push_back(tree_.add(clusters.ids[first], clusters.ids[second], std::sqrt(clusters.distances[first])));
      formed_.push_back(std::sqrt(clusters.distances[first]));
      sizes_.push_back(weights_[first] + weights_[second]);
    }
    num_pairs_ = static_cast<int64_t>(pairs.size());
    for (int64_t i = 0; i < clusters.count(); ++i) {
      if (is_paired[i]) continue;
      points.push_back(static_cast<int32_t>(i));
      ids_.push_back(clusters.ids[i]);
      formed_.push_back(0.0);
      sizes_.push_back(weights_[i]);
    }
    size_ = num_left_ = static_cast<int64_t>(points.size());
    for (const int32_t first : pairs) points.push_back(clusters.nearest[first]);
    num_dims_ = clusters.num_dims;
    const int64_t num_points = static_cast<int64_t>(points.size());
    std::vector<double> weights(num_points);
    columns_.resize(num_dims_ * num_points);
    for (int64_t i = 0; i < num_points; ++i) {
      weights[i] = weights_[points[i]] / sizes_[i < size_ ? i : i - size_];
      for (int64_t dim = 0; dim < num_dims_; ++dim) columns_[dim * num_points + i] = clusters.center(points[i])[dim];
    }
    weights_ = std::move(weights);
  }

  // Mean distances, above the diagonal, then copied below it.
  void fill_matrix() {
    const int64_t num_points = size_ + num_pairs_;
    matrix_ = allocate(size_ * size_);
    std::vector<std::vector<double>> own_of(team_.size(), std::vector<double>(num_dims_));
    team_.for_chunks(size_, kRows, [&](int64_t begin, int64_t end, int member) {
      std::vector<double>& own = own_of[member];
      for (int64_t cluster = begin; cluster < end; ++cluster) {
        for (int64_t point = cluster; point < num_points; point += size_) {
          for (int64_t dim = 0; dim < num_dims_; ++dim) own[dim] = columns_[dim * num_points + point];
          add_distances(cluster, point, own.data());
          if (cluster >= num_pairs_) break;
        }
        row(cluster)[cluster] = kInfinity;
      }
    });
    constexpr int64_t kTile = 32;
    team_.for_chunks((size_ + kTile - 1) / kTile, 1, [&](int64_t begin, int64_t, int) {
      const int64_t first = begin * kTile, last = std::min(first + kTile, size_);
      for (int64_t left = 0; left < last; left += kTile) {
        for (int64_t i = first; i < last; ++i) {
          for (int64_t j = left; j < std::min(left + kTile, i); ++j) row(i)[j] = row(j)[i];
        }
      }
    });
    penalties_.assign(size_, 0.0);
    nearest_.assign(size_, 0);
    distances_.assign(size_, 0.0);
    states_.assign(size_, State::kStale);
  }

  // To the clusters from this one on: to their first points, then to the second points of the pairs among them.
  void add_distances(int64_t cluster, int64_t point, const double* own) {
    const int64_t stride = size_ + num_pairs_;
    const double factor = weights_[point];
    double* out = row(cluster) + cluster;
    kernels_.measure(own, &columns_[cluster], num_dims_, stride, size_ - cluster, factor, &weights_[cluster],
                     point != cluster, out);
    if (cluster >= num_pairs_) return;
    const int64_t second = size_ + cluster;
    kernels_.measure(own, &columns_[second], num_dims_, stride, num_pairs_ - cluster, factor, &weights_[second], true,
                     out);
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
  int64_t num_dims_ = 0;
  int64_t num_pairs_ = 0;
  std::vector<double> columns_;  // (num_dims, points): the first points of all clusters, then the pairs' second ones
  std::vector<double> weights_;  // (points): each one's share of its cluster

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
