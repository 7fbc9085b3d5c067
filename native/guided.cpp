// The fast guided filter (He, Sun & Tang, TPAMI 2013; He & Sun, arXiv 1505.00996) of many labels at once.
//
// A label's scores are 0 away from its cells, and so are its coefficients farther than two windows: each label costs
// what it covers, not what the image has. The labels' scores sum to 1 everywhere, and what the filter makes of them as
// well, so that one that has none at a pixel never wins there.
#include "guided.h"

#include <algorithm>
#include <limits>
#include <new>

#include "clustering.h"
#include "team.h"

namespace ovsr {

Taps::Taps(int64_t size_in, int64_t size_out) : low(size_out), high(size_out), weight(size_out) {
  for (int64_t place = 0; place < size_out; ++place) {
    const double position =
        std::clamp((place + 0.5) * (static_cast<double>(size_in) / size_out) - 0.5, 0.0, size_in - 1.0);
    low[place] = static_cast<int32_t>(position);
    high[place] = static_cast<int32_t>(std::min<int64_t>(low[place] + 1, size_in - 1));
    weight[place] = static_cast<float>(position - low[place]);
  }
}

namespace {

constexpr int64_t kCoefficientsAtOnce = int64_t{1} << 21;  // 32 MiB
constexpr int64_t kRows = 8;                               // of the target, that a thread takes at once
constexpr double kWorthThreads = 3e4;                      // pixels of labels to be filtered

// Running sums of a guide's products over windows, then what `GuidePixel` holds.
std::vector<GuidePixel> look_at_guide(const uint8_t* colors, const Size& size, int64_t radius, double epsilon) {
  constexpr int kSums = 9;  // r, g, b, rr, rg, rb, gg, gb, bb
  const int64_t count = size.count();
  std::vector<GuidePixel> guide(count);
  std::vector<double> rows(count * kSums), sums(size.columns * kSums, 0.0);
  const auto products_at = [&](int64_t y, int64_t x, double sign, double* sum) {
    const int64_t place = y * size.columns + x;
    const double r = colors[place] / 255.0, g = colors[count + place] / 255.0, b = colors[2 * count + place] / 255.0;
    const double products[kSums] = {r, g, b, r * r, r * g, r * b, g * g, g * b, b * b};
    for (int i = 0; i < kSums; ++i) sum[i] += sign * products[i];
  };
  for (int64_t y = 0; y < size.rows; ++y) {
    double sum[kSums] = {};
    for (int64_t x = 0; x < std::min(radius, size.columns); ++x) products_at(y, x, 1.0, sum);
    for (int64_t x = 0; x < size.columns; ++x) {
      if (x + radius < size.columns) products_at(y, x + radius, 1.0, sum);
      if (x - radius - 1 >= 0) products_at(y, x - radius - 1, -1.0, sum);
      std::copy(sum, sum + kSums, &rows[(y * size.columns + x) * kSums]);
    }
  }
  const auto add_row = [&](int64_t y, double sign) {
    const double* row = &rows[y * size.columns * kSums];
    for (int64_t i = 0; i < size.columns * kSums; ++i) sums[i] += sign * row[i];
  };
  for (int64_t y = 0; y < std::min(radius, size.rows); ++y) add_row(y, 1.0);
  for (int64_t y = 0; y < size.rows; ++y) {
    if (y + radius < size.rows) add_row(y + radius, 1.0);
    if (y - radius - 1 >= 0) add_row(y - radius - 1, -1.0);
    for (int64_t x = 0; x < size.columns; ++x) {
      double m[kSums];
      const double share = 1.0 / (window(y, radius, size.rows) * window(x, radius, size.columns));
      for (int i = 0; i < kSums; ++i) m[i] = sums[x * kSums + i] * share;
      // The covariance (a b c; b d e; c e f) with its ridge, and its inverse by cofactors.
      const double a = m[3] - m[0] * m[0] + epsilon, b = m[4] - m[0] * m[1], c = m[5] - m[0] * m[2];
      const double d = m[6] - m[1] * m[1] + epsilon, e = m[7] - m[1] * m[2], f = m[8] - m[2] * m[2] + epsilon;
      const double aa = d * f - e * e, ab = c * e - b * f, ac = b * e - c * d;
      const double determinant = a * aa + b * ab + c * ac;
      const double bb = a * f - c * c, bc = b * c - a * e, cc = a * d - b * b;
      const double inverse[3][3] = {{aa, ab, ac}, {ab, bb, bc}, {ac, bc, cc}};
      const int64_t place = y * size.columns + x;
      GuidePixel& pixel = guide[place];
      for (int i = 0; i < 3; ++i) {
        pixel.color[i] = static_cast<float>(colors[i * count + place] / 255.0);
        pixel.mean[i] = static_cast<float>(m[i]);
        double product = 0.0;
        for (int j = 0; j < 3; ++j) {
          pixel.columns[i][j] = static_cast<float>(inverse[i][j] / determinant);
          product += inverse[i][j] / determinant * m[j];
        }
        pixel.columns[i][3] = static_cast<float>(-product);
      }
      pixel.color[3] = pixel.mean[3] = 1.0f;
    }
  }
  return guide;
}

// For each label the guide's pixels between whose cells one is of it.
std::vector<Box> find_boxes(const GuidedTask& task, const Taps& rows, const Taps& columns) {
  std::vector<Box> cells(task.num_labels, Box{task.cells.rows, 0, task.cells.columns, 0});
  for (int64_t y = 0; y < task.cells.rows; ++y) {
    for (int64_t x = 0; x < task.cells.columns; ++x) {
      Box& box = cells[task.labels[y * task.cells.columns + x]];
      box = {std::min(box.top, y), std::max(box.bottom, y + 1), std::min(box.left, x), std::max(box.right, x + 1)};
    }
  }
  const auto first = [](const std::vector<int32_t>& places, int64_t cell) {
    return std::lower_bound(places.begin(), places.end(), cell) - places.begin();
  };
  for (Box& box : cells) {
    if (box.is_empty()) continue;
    box = {first(rows.high, box.top), first(rows.low, box.bottom), first(columns.high, box.left),
           first(columns.low, box.right)};
  }
  return cells;
}

void find_labels(const GuidedTask& task, const uint8_t* guide_colors, double epsilon, int num_threads,
                 int vector_level, int64_t* winners) {
  const std::vector<GuidePixel> guide = look_at_guide(guide_colors, task.guide, task.radius, epsilon);
  const Taps cell_rows(task.cells.rows, task.guide.rows), cell_columns(task.cells.columns, task.guide.columns);
  const Taps rows(task.guide.rows, task.target.rows), columns(task.guide.columns, task.target.columns);
  const std::vector<Box> inside = find_boxes(task, cell_rows, cell_columns);
  std::vector<Box> boxes(inside);
  double num_pixels = 0.0;
  for (Box& box : boxes) {
    if (box.is_empty()) continue;
    box = grow(box, 2 * task.radius, task.guide);
    num_pixels += box.count();
  }
  const GuidedKernels& kernels = choose_guided_kernels(vector_level);
  Team team(num_pixels < kWorthThreads ? 1 : std::max(num_threads, 1));
  std::vector<Scratch> scratch(team.size());
  for (Scratch& own : scratch) {  // here, since nothing may throw where threads run
    own.scores.resize(task.guide.count());
    own.sums.resize(task.guide.count());
    own.coefficients.resize(task.guide.count());
    own.columns.resize(4 * task.guide.columns);
  }
  std::vector<std::vector<Four>> colors(team.size(), std::vector<Four>(task.target.columns));
  std::vector<std::vector<Four>> between(team.size(), std::vector<Four>(task.guide.columns + 2));
  std::vector<float> most(task.target.count(), -std::numeric_limits<float>::infinity());
  std::fill(winners, winners + task.target.count(), int64_t{0});
  std::vector<Four> coefficients;
  std::vector<int64_t> begins(task.num_labels);
  for (int64_t first = 0, last = 0; first < task.num_labels; first = last) {
    int64_t total = 0;
    while (last < task.num_labels && (last == first || total + boxes[last].count() <= kCoefficientsAtOnce)) {
      begins[last] = total;
      total += boxes[last++].count();
    }
    if (static_cast<int64_t>(coefficients.size()) < total) coefficients.resize(total);
    team.for_chunks(last - first, 1, [&](int64_t begin, int64_t, int member) {
      const int64_t label = first + begin;
      if (boxes[label].is_empty()) return;
      kernels.fit(task, guide, cell_rows, cell_columns, label, inside[label], boxes[label], scratch[member],
                  &coefficients[begins[label]]);
    });
    team.for_chunks(task.target.rows, kRows, [&](int64_t begin, int64_t end, int member) {
      Four* own = colors[member].data();
      for (int64_t row = begin; row < end; ++row) {
        const int64_t place = row * task.target.columns, plane = task.target.count();
        for (int64_t x = 0; x < task.target.columns; ++x) {
          const uint8_t* pixel = task.colors + place + x;
          own[x] = Four{pixel[0] / 255.0f, pixel[plane] / 255.0f, pixel[2 * plane] / 255.0f, 1.0f};
        }
        for (int64_t label = first; label < last; ++label) {
          if (boxes[label].is_empty()) continue;
          kernels.apply(rows, columns, row, label, boxes[label], &coefficients[begins[label]], own,
                        between[member].data(), &most[place], winners + place);
        }
      }
    });
  }
}

}  // namespace
}  // namespace ovsr

extern "C" int32_t ovsr_guided_labels(const int64_t* labels, int64_t rows, int64_t columns, int64_t num_labels,
                                      const uint8_t* guide, int64_t guide_rows, int64_t guide_columns,
                                      const uint8_t* target, int64_t target_rows, int64_t target_columns,
                                      int64_t radius, double epsilon, int32_t num_threads, int32_t vector_level,
                                      int64_t* winners) {
  const int64_t sides[] = {rows, columns, guide_rows, guide_columns, target_rows, target_columns, num_labels, radius};
  for (const int64_t side : sides) {
    if (side < 1 || side > std::numeric_limits<int32_t>::max()) return OVSR_BAD_ARGUMENT;
  }
  if (!(epsilon > 0.0)) return OVSR_BAD_ARGUMENT;
  for (int64_t cell = 0; cell < rows * columns; ++cell) {
    if (labels[cell] < 0 || labels[cell] >= num_labels) return OVSR_BAD_ARGUMENT;
  }
  try {
    const ovsr::GuidedTask task{labels,
                                {rows, columns},
                                num_labels,
                                {guide_rows, guide_columns},
                                {target_rows, target_columns},
                                target,
                                radius};
    ovsr::find_labels(task, guide, epsilon, num_threads, vector_level, winners);
  } catch (const std::bad_alloc&) {
    return OVSR_OUT_OF_MEMORY;
  }
  return OVSR_OK;
}
