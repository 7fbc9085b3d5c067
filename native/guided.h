// The guided filter that leads the borders of clusters along an image's colours, for all clusters at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ovsr {

struct Size {
  int64_t rows, columns;
  int64_t count() const { return rows * columns; }
};

// [top, bottom) x [left, right)
struct Box {
  int64_t top, bottom, left, right;
  bool is_empty() const { return top >= bottom || left >= right; }
  int64_t rows() const { return bottom - top; }
  int64_t columns() const { return right - left; }
  int64_t count() const { return is_empty() ? 0 : rows() * columns(); }
};

// A box with so many places more on each side, as far as there are any.
inline Box grow(const Box& box, int64_t by, const Size& size) {
  return {std::max<int64_t>(box.top - by, 0), std::min(box.bottom + by, size.rows),
          std::max<int64_t>(box.left - by, 0), std::min(box.right + by, size.columns)};
}

// How many places of 0 to length - 1 a window around `place` has.
inline int64_t window(int64_t place, int64_t radius, int64_t length) {
  return std::min(place + radius, length - 1) - std::max<int64_t>(place - radius, 0) + 1;
}

// Where each of an axis' new places lies between two of the old ones, half-pixel centres: `low`, `high`, and high's
// weight.
struct Taps {
  Taps(int64_t size_in, int64_t size_out);
  std::vector<int32_t> low, high;
  std::vector<float> weight;
};

typedef float Four __attribute__((vector_size(4 * sizeof(float))));

// What the filter needs to know of the guide, by pixel, row by row.
struct GuidePixel {
  Four color;       // r, g, b in [0, 1], and 1
  Four mean;        // of r, g, b over the window, and 1
  Four columns[3];  // of the inverse of the window's covariance with its ridge; last, minus the mean's product with it
};

// Labels of cells and what they are to become.
struct GuidedTask {
  const int64_t* labels;  // (cells.rows, cells.columns), 0 to num_labels - 1
  Size cells;
  int64_t num_labels;
  Size guide;  // the size at which the filter works
  Size target;
  const uint8_t* colors;  // of the target: r, g, b, each (target.rows, target.columns)
  int64_t radius;         // of the windows, in pixels of the guide
};

// What a thread works with.
struct Scratch {
  std::vector<Four> scores, sums, coefficients;  // of the guide's pixels
  std::vector<double> columns;
};

// The functions of one width of vectors.
struct GuidedKernels {
  // The averaged coefficients of one label, over `box`, row by row. inside: the box of the label's cells.
  void (*fit)(const GuidedTask& task, const std::vector<GuidePixel>& guide, const Taps& rows, const Taps& columns,
              int64_t label, const Box& inside, const Box& box, Scratch& scratch, Four* coefficients);
  // What these coefficients say of one row of the target: the label takes a pixel where that is more than `most`.
  // colors: of that row, and 1; between: room for a row of the guide, and 2.
  void (*apply)(const Taps& rows, const Taps& columns, int64_t row, int64_t label, const Box& box,
                const Four* coefficients, const Four* colors, Four* between, float* most, int64_t* winners);
};

const GuidedKernels& choose_guided_kernels(int vector_level);

}  // namespace ovsr
