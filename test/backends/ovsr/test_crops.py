import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from ovsr_ros.backends.ovsr import crops

FILL = torch.tensor([120, 110, 100], dtype=torch.uint8)


def noise_image(height, width, seed=0):
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    smooth = gaussian_filter(noise, (2, 2, 0))
    return np.clip(128 + smooth / smooth.std() * 60, 0, 255).astype(np.uint8)


def to_chw(image):
    return torch.from_numpy(image).permute(2, 0, 1)[None]


@pytest.mark.parametrize("size_hw", [(480, 640), (640, 480), (50, 400), (16, 16)])
def test_squares_hold_their_boxes_and_stay_inside_where_they_fit(size_hw):
    height, width = size_hw
    rng = np.random.default_rng(0)
    start = rng.integers(0, [width - 1, height - 1], (200, 2))
    end = start + 1 + (rng.random((200, 2)) * (np.array([width, height]) - start)).astype(np.int64)
    end = np.minimum(end, [width, height])
    boxes = torch.from_numpy(np.concatenate((start, end), 1))
    squares = crops.square_boxes(boxes, size_hw, 0.1)
    sides = squares[:, 2:] - squares[:, :2]
    assert torch.equal(sides[:, 0], sides[:, 1])
    for axis, length in ((0, width), (1, height)):
        fits = sides[:, axis] <= length
        assert (squares[fits][:, axis] >= 0).all()
        assert (squares[fits][:, axis + 2] <= length).all()
        over = squares[~fits]
        assert ((-over[:, axis] - (over[:, axis + 2] - length)).abs() <= 1).all()  # sticks out evenly
    assert (squares[:, :2] <= boxes[:, :2]).all()
    assert (squares[:, 2:] >= boxes[:, 2:]).all()


def test_margin_is_a_fraction_of_the_longer_side():
    square = crops.square_boxes(torch.tensor([[100, 100, 140, 120]]), (480, 640), 0.25)
    assert square.tolist() == [[90, 80, 150, 140]]


@pytest.mark.parametrize("size", [32, 64, 224])
@pytest.mark.parametrize("square", [[10, 20, 200, 210], [0, 0, 40, 40], [-40, -10, 260, 290], [300, 200, 420, 320]])
def test_box_crops_agree_with_pil(square, size):
    image = noise_image(300, 400)
    left, top, right, bottom = square
    found = crops.crop_and_resize(to_chw(image), [square], size, FILL, "bicubic")[0].permute(1, 2, 0).numpy()
    canvas = Image.new("RGB", (right - left, bottom - top), tuple(FILL.tolist()))
    canvas.paste(Image.fromarray(image), (-left, -top))
    expected = np.asarray(canvas.resize((size, size), Image.Resampling.BICUBIC))
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 2  # PIL rounds its weights otherwise
    assert (difference <= 1).mean() > 0.99


def two_segments():
    segment_map = torch.ones(120, 160, dtype=torch.int32)
    segment_map[30:80, 40:100] = 2
    return segment_map, torch.tensor([[0, 0, 160, 120], [40, 30, 100, 80]])


@pytest.mark.parametrize("pixels_at_once", [2**19, 3000, 1])
@pytest.mark.parametrize("square", [[-40, -10, 260, 290], [100, 50, 450, 400], [-5, 0, 295, 300], [399, 299, 400, 300]])
def test_what_sticks_out_is_resized_as_if_the_image_were_padded(monkeypatch, square, pixels_at_once):
    image = to_chw(noise_image(300, 400))
    left, top, right, bottom = square
    padded = FILL.view(1, 3, 1, 1).repeat(1, 1, 1000, 1000)
    padded[:, :, 300:600, 300:700] = image
    square_of_padded = [left + 300, top + 300, right + 300, bottom + 300]
    monkeypatch.setattr(crops, "_PIXELS_AT_ONCE", pixels_at_once)
    for mode in ("bicubic", "bilinear"):
        found = crops.crop_and_resize(image, [square], 64, FILL, mode)
        assert torch.equal(found, crops.crop_and_resize(padded, [square_of_padded], 64, FILL, mode))


def test_masks_are_those_of_the_whole_map_and_colours_stay():
    segment_map = torch.ones(120, 160, dtype=torch.int32)
    segment_map[30:80, 40:100] = 2
    segment_map[119, 159] = 3  # one pixel, in a square of one
    boxes = [[0, 0, 160, 120], [40, 30, 100, 80], [159, 119, 160, 120]]
    squares = [[0, -20, 160, 140], [30, 15, 110, 95], [159, 119, 160, 120]]
    found = crops.crop_masks(segment_map, boxes, squares, 64)
    black = torch.zeros(1, dtype=torch.uint8)
    for index, square in enumerate(squares):
        mask = (segment_map == index + 1).to(torch.uint8)[None, None] * 255
        expected = crops.crop_and_resize(mask, [square], 64, black, "bilinear").float() / 255
        assert torch.equal(found[index], expected[0])
    assert black.item() == 0


@pytest.mark.parametrize("style", crops.STYLES)
def test_each_style_keeps_the_segment_itself(style):
    image = to_chw(noise_image(120, 160))
    segment_map, boxes = two_segments()
    plain = crops.crop_segments(image, segment_map, boxes, 64, "box", 0.1, FILL)
    styled = crops.crop_segments(image, segment_map, boxes, 64, style, 0.1, FILL)
    assert styled.shape == (2, 3, 64, 64)
    assert styled.dtype == torch.float32
    squares = crops.square_boxes(boxes, (120, 160), 0.1).tolist()
    inside = crops.crop_masks(segment_map, boxes.tolist(), squares, 64)[:, 0] == 1
    assert inside[1].sum() > 1000
    for channel in range(3):
        torch.testing.assert_close(styled[:, channel][inside], plain[:, channel][inside])


def test_a_centered_square_keeps_its_center_at_the_border():
    boxes = torch.tensor([[0, 300, 640, 480], [600, 0, 640, 20]])
    squares = crops.square_boxes(boxes, (480, 640), 0.1, centered=True).double()
    centers = (squares[:, :2] + squares[:, 2:]) / 2
    assert (centers - torch.tensor([[320.0, 390.0], [620.0, 10.0]])).abs().max() <= 0.5


def test_mean_fills_the_surroundings_with_the_encoders_mean():
    image = to_chw(noise_image(120, 160))
    segment_map, boxes = two_segments()
    crop = crops.crop_segments(image, segment_map, boxes, 64, "mean", 0.2, FILL)[1]
    torch.testing.assert_close(crop[:, 0, 0], FILL.float(), atol=1e-3, rtol=0)


def test_blur_flattens_the_surroundings():
    image = to_chw(noise_image(120, 160))
    segment_map, boxes = two_segments()
    plain = crops.crop_segments(image, segment_map, boxes, 64, "box", 0.4, FILL)[1]
    blurred = crops.crop_segments(image, segment_map, boxes, 64, "blur", 0.4, FILL)[1]
    assert blurred[:, :8].var() < 0.5 * plain[:, :8].var()


def test_blur_keeps_a_constant_image():
    constant = torch.full((2, 3, 20, 20), 7.0)
    torch.testing.assert_close(crops.gaussian_blur(constant, 3.0), constant)


def test_no_segments_give_an_empty_batch():
    image = to_chw(noise_image(20, 20))
    empty = torch.zeros(0, 4, dtype=torch.int64)
    for style in crops.STYLES:
        batch = crops.crop_segments(image, torch.zeros(20, 20, dtype=torch.int32), empty, 32, style, 0.1, FILL)
        assert batch.shape == (0, 3, 32, 32)


def test_unknown_style_is_refused():
    with pytest.raises(ValueError, match="box, blur, mean"):
        crops.crop_segments(*[torch.zeros(1, 3, 20, 20, dtype=torch.uint8), *two_segments()], 32, "black", 0.1, FILL)


def test_blur_is_a_convolution_with_repeated_borders():
    images = torch.rand(2, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    for sigma in (0.2, 1.5, 9.0):
        expected = [
            cv2.GaussianBlur(
                plane.numpy(), [2 * max(1, round(3 * sigma)) + 1] * 2, sigma, borderType=cv2.BORDER_REPLICATE
            )
            for plane in images.flatten(0, 1)
        ]
        torch.testing.assert_close(
            crops.gaussian_blur(images, sigma).flatten(0, 1), torch.from_numpy(np.stack(expected)), atol=1e-5, rtol=0
        )
