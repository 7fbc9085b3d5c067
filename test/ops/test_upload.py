"""The bookkeeping of upload buffers, on a CPU and unpinned: which one is filled, and what is waited for first."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from ovsr_ros.ops.image import MAX_SHAPES, NUM_BUFFERS, UploadPool, to_tensor

CPU = torch.device("cpu")


class Ticket:
    """An event that writes down when it is waited for."""

    def __init__(self, number, waited):
        self._number, self._waited = number, waited

    def synchronize(self):
        self._waited.append(self._number)


class Device:
    """Hands out events, and remembers which were waited for, in order."""

    def __init__(self):
        self.num_events, self.waited = 0, []
        self.pool = UploadPool(CPU, pin=False, mark=self.mark)

    def mark(self):
        self.num_events += 1
        return Ticket(self.num_events, self.waited)


def picture(seed, size_hw=(20, 30)):
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3), np.uint8)


def test_results_are_the_arrays_whatever_their_layout_and_stay_so():
    pool, images = Device().pool, [picture(seed) for seed in range(6)]
    views = [images[0], images[1][:, ::-1], images[2][..., ::-1], np.asfortranarray(images[3]), images[4][:-1]]
    expected = [view.copy() for view in views]
    tensors = [pool.upload(view) for view in views]
    for image in images:
        image[:] = 0
    for tensor, array in zip(tensors, expected, strict=True):
        assert np.array_equal(tensor.numpy(), array)


def test_a_buffer_is_filled_again_only_after_its_copy_and_the_other_meanwhile():
    device = Device()
    for seed in range(NUM_BUFFERS):
        device.pool.upload(picture(seed))
    assert device.waited == [], "the first round waits for nothing"
    for seed in range(3):
        device.pool.upload(picture(seed))
    assert device.waited == [1, 2, 3], "each waits for the copy before the last, not for the last one"


def test_each_shape_has_its_own_buffers():
    device = Device()
    for seed in range(NUM_BUFFERS):
        device.pool.upload(picture(seed, (20, 30)))
        device.pool.upload(picture(seed, (30, 20)))
    assert device.waited == []


def test_shapes_long_unused_are_forgotten_once_their_copies_are_done():
    device = Device()
    for width in range(16, 16 + MAX_SHAPES + 1):
        device.pool.upload(picture(0, (16, width)))
    assert device.waited == [1]
    device.pool.upload(picture(0, (16, 16)))
    assert device.waited == [1, 2], "made anew: nothing to wait for but the next that is forgotten"


def test_threads_share_a_pool():
    pool, wrong = Device().pool, []

    def work(seed):
        for number in range(50):
            image = picture(100 * seed + number)
            if not np.array_equal(pool.upload(image).numpy(), image):
                wrong.append((seed, number))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gets_what_a_cpu_gets():
    for seed in range(10):
        image = picture(seed, (480, 640))
        assert torch.equal(to_tensor(image, torch.device("cuda", 0)).cpu(), to_tensor(image, CPU))
