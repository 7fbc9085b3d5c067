// The nearest cluster under Ward's distance: a scan in float32 that leaves a few candidates for exact comparison.
#pragma once

#include <cstdint>
#include <vector>

#if defined(__x86_64__) || defined(__i386__)
#define OVSR_X86 1
#endif

namespace ovsr {

constexpr int kLeaf = 64;  // clusters whose coordinates lie side by side, and lanes of the scan

// Ward's squared distance of clusters a and b is ||c_a - c_b||^2 / (h_a + h_b) with h = 0.5 / number of points.
//
// The mean distance over all pairs of their points is at least ||c_a - c_b||, and its square at most that square plus
// both clusters' spreads: with h = 0.5 the search finds all that the first bound leaves under the second one.
//
// The mean squared distance is the centers' plus both spreads.
//
// Clusters are stored in groups of kLeaf ("leaves"), in an order that puts neighbours into one leaf; each leaf has a
// bounding box, so that most leaves need no look at their members. The last leaf is filled up with far away points.
struct Packed {
  int64_t num_clusters = 0;
  int64_t num_dims = 0;
  int64_t num_leaves = 0;
  std::vector<float> coordinates;    // (num_leaves, num_dims, kLeaf)
  std::vector<float> half_inverses;  // (num_leaves, kLeaf): h
  std::vector<float> spreads;        // (num_leaves, kLeaf), not less than they are; empty where the distance is Ward's
  // Boxes, kBoxes side by side; those past the last leaf are far away.
  std::vector<float> lowest;               // (ceil(num_leaves / kBoxes), num_dims, kBoxes)
  std::vector<float> highest;              // the same
  std::vector<float> largest_half_inverse;  // (ceil(num_leaves / kBoxes), kBoxes)
};

constexpr int kBoxes = 16;

// What clusters' spreads are to a distance: nothing; the most by which its square exceeds the centers'; or a part of it.
enum class Spreads { kNone, kBound, kPart };

struct Candidate {
  int32_t cluster;
  float distance;
};

constexpr int kQueries = 16;

// A search for the nearest of one cluster.
struct Query {
  int64_t self;
  float limit;  // on entry widened from the distance to a real cluster; falls as nearer ones are found
  std::vector<Candidate> candidates;  // all within limit, and some that were before it fell
};

// What one thread needs to answer queries of clusters that lie near each other, so that a leaf is read once for all.
struct Batch {
  Query queries[kQueries];
  int num_queries = 0;
  double num_measured = 0.0;  // distances of points that were measured for exact comparison
  std::vector<float> gaps;  // (kQueries, num_leaves, rounded up to kBoxes): squared distance to each leaf's box
};

// An upper bound of what float32 makes of a squared distance that is `squared` or less in exact arithmetic.
struct Slack {
  float relative;  // of the sum of squares, twice what it can be
  float absolute;  // of a distance between centers whose coordinates were rounded
  float widen(float squared, float half_inverse) const;
};

// Appends to each query's candidates every cluster but itself whose float32 distance is at most the final limit, which
// is slack.widen() of the smallest found.
using Search = void (*)(const Packed&, const Slack&, Batch&);

// The level of clustering.h that this machine has and vector_level allows.
int supported_level(int vector_level);

// The variant for the widest vectors that this machine has and vector_level (see clustering.h) allows.
Search choose_search(int vector_level, Spreads spreads);

}  // namespace ovsr
