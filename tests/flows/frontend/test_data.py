import dataclasses
import gzip

import numpy as np
import pytest

from lamina.flows.frontend.data import Dataset, load_data, random_data
from lamina.models.program import Encoder


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a data set wants to know of a network."""

    input_shape: tuple
    outputs: int = 10
    timesteps: int = 4
    encoder: Encoder = dataclasses.field(default_factory=Encoder)

    @property
    def axons(self):
        return int(np.prod(self.input_shape))


def idx(array):
    header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, dtype=">u4").tobytes()
    return header + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path):
    """Folder with 5 held-out samples of 28x28, images gzipped."""
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (5, 28, 28))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(5)))
    return tmp_path


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_digits_are_split_once_and_for_all():
    held_out, train = load_data("digits"), load_data("digits", split="train")
    assert (len(held_out), len(train)) == (449, 1348)
    assert held_out.axons == 64 and held_out.shape == (8, 8) and held_out.classes == 10
    assert held_out.images.min() == 0 and held_out.images.max() == 1
    assert held_out.labels[:8].tolist() == [3, 7, 1, 5, 9, 3, 7, 9]
    assert held_out.timesteps is None


def test_samples_are_encoded_by_their_number():
    data, network = load_data("digits"), Shape((64,))
    data.check(network)
    whole = data.encoded(network)
    assert whole.shape == (449, 4, 64) and whole.dtype == np.uint8 and 0.1 < whole.mean() < 0.5
    np.testing.assert_array_equal(data.encoded(network, 20, 3), whole[20:23])
    assert len(data.encoded(network, 440, 100)) == 9


def test_mnist_is_read_plain_and_gzipped(mnist):
    data = load_data(f"mnist:{mnist}")
    assert len(data) == 5 and data.shape == (28, 28) and data.labels.tolist() == [0, 1, 2, 3, 4]
    assert data.images.max() <= 1 and data.images.mean() > 0.3


@pytest.mark.parametrize(("name", "content", "message"), [
    ("t10k-images-idx3-ubyte.gz", b"\x1f\x8bno gzip", "truncated or damaged gzip file"),
    ("t10k-images-idx3-ubyte.gz", gzip.compress(idx(np.zeros((5, 28, 28))))[:40],
     "truncated or damaged gzip file"),
    ("t10k-labels-idx1-ubyte", idx(np.arange(5))[:6],
     "not an idx file of unsigned bytes with 1 dimensions"),
    ("t10k-labels-idx1-ubyte", b"hello", "not an idx file of unsigned bytes with 1 dimensions"),
    ("t10k-labels-idx1-ubyte", idx(np.arange(5))[:-2],
     "must hold (5,) bytes after its header, not 3"),
])
def test_broken_idx_files_are_refused(mnist, refused, name, content, message):
    (mnist / name).write_bytes(content)
    with refused(f"{mnist / name}: {message}"):
        load_data(f"mnist:{mnist}")


def test_images_and_labels_must_be_as_many(mnist, refused):
    (mnist / "t10k-labels-idx1-ubyte").write_bytes(idx(np.arange(4)))
    with refused(f"--data mnist:{mnist}: 5 t10k images but 4 labels"):
        load_data(f"mnist:{mnist}")


def test_a_missing_mnist_is_told(tmp_path, refused):
    with refused(f"MNIST not found in {tmp_path}: expected train-images-idx3-ubyte or "
                 f"train-images-idx3-ubyte.gz"):
        load_data(f"mnist:{tmp_path}", split="train")


KNOWN = "--data must be digits, mnist:DIR, nmnist:DIR, events:DIR or FILE.npz, "


@pytest.mark.parametrize(("spec", "counts", "message"), [
    ("cifar", "refuse", KNOWN + "not 'cifar'"),
    ("nmnist:", "refuse", KNOWN + "not 'nmnist:'"),
    ("digits", "sum", "--counts must be one of refuse, clip, repeat, not 'sum'"),
    ("none.npz", "refuse", "--data none.npz: no such file"),
])
def test_unknown_data_are_refused(refused, spec, counts, message):
    with refused(message):
        load_data(spec, counts=counts)


def test_an_unknown_split_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match=r"^split must be test or train, not 'valid'$"):
        load_data("digits", split="valid")


def test_recorded_spikes_pass_unencoded(tmp_path):
    spikes = np.random.default_rng(1).integers(0, 2, (6, 4, 2, 3))
    path = save(tmp_path / "events.npz", spikes=spikes, labels=np.arange(6.0))
    data = load_data(str(path))
    network = Shape((2, 3))
    data.check(network)
    assert data.timesteps == 4 and data.shape == (2, 3) and data.labels.dtype == np.int64
    np.testing.assert_array_equal(data.encoded(network, 1, 2), spikes[1:3].reshape(2, 4, 6))


def test_images_are_intensities_or_bytes(tmp_path):
    images = np.array([[0, 51], [255, 0]], dtype=np.uint8)
    data = load_data(str(save(tmp_path / "bytes.npz", images=images)))
    np.testing.assert_allclose(data.images, [[0, 0.2], [1, 0]])
    assert data.labels is None and data.classes is None
    data = load_data(str(save(tmp_path / "floats.npz", images=images / 255)))
    np.testing.assert_allclose(data.images, [[0, 0.2], [1, 0]])


def test_counts_are_clipped_on_demand(tmp_path, refused):
    path = save(tmp_path / "counts.npz", spikes=np.array([[[0, 3, 1]]]))
    with refused(f"{path}: spikes must be 0 or 1, the largest count is 3; use --counts clip, "
                 f"or --counts repeat"):
        load_data(str(path))
    clipped = load_data(str(path), counts="clip")
    assert clipped.spikes.tolist() == [[[0, 1, 1]]] and clipped.repeats == 1


def test_repeated_counts_are_copies_of_the_axons(tmp_path, refused):
    path = save(tmp_path / "counts.npz", spikes=np.array([[[[0, 3, 1]]]]))
    data = load_data(str(path), counts="repeat", max_count=3)
    assert data.spikes.tolist() == [[[0, 1, 1, 0, 1, 0, 0, 1, 0]]]
    assert data.repeats == 3 and data.shape == (1, 3) and data.axons == 9
    data.check(Shape((3, 1, 3), timesteps=1))
    with refused(f"{path}: counts must be at most 2 under --counts repeat, the largest is 3; use a "
                 f"larger --max-count, or clip"):
        load_data(str(path), counts="repeat", max_count=2)
    with refused("--max-count must be in 2..255, not 1"):
        load_data(str(path), counts="repeat", max_count=1)


def test_signals_go_through_delta(tmp_path, refused):
    signals = np.array([[0.0, 2.0, 2.5, 0.5]])[..., None] + np.zeros(3)
    path = save(tmp_path / "signals.npz", signals=signals)
    data, network = load_data(str(path)), Shape((2, 3), encoder=Encoder(kind="delta", step=1.0))
    data.check(network)
    assert data.encoded(network)[0, :, [0, 3]].tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
    with refused(f"--data {path}: signals must be encoded by --encoder delta, not rate"):
        data.check(Shape((2, 3), encoder=Encoder(kind="rate")))
    with refused(f"--data {path}: frames have 6 axons, shape (3,) 2 times; the "
                 f"network has 3, shape (3,)"):
        data.check(Shape((3,), encoder=Encoder(kind="delta")))


def test_constant_levels_need_copies_of_the_axons():
    network = Shape((5, 64), encoder=Encoder(kind="constant", levels=5))
    data = load_data("digits")
    data.check(network)
    spikes = data.encoded(network, 0, 3)
    levels = np.floor(data.images[:3] * 5 + 0.5)
    assert levels.max() == 5
    np.testing.assert_array_equal(spikes.reshape(3, 4, 5, 64).sum(axis=2)[:, 2], levels)


SPIKES = np.zeros((6, 4, 3), dtype=np.uint8)
EITHER = "must hold either spikes[N,T,...], signals[N,T,...] or images[N,...], "


@pytest.mark.parametrize(("arrays", "message"), [
    ({"labels": np.zeros(3)}, EITHER + "it holds labels"),
    ({"spikes": SPIKES, "images": SPIKES}, EITHER + "it holds images, spikes"),
    ({"signals": SPIKES + np.inf}, "signals must be finite, not inf"),
    ({"signals": SPIKES[0]}, "signals must be numbers with at least 3 dimensions and one sample, "
                             "not uint8 of shape (4, 3)"),
    ({"spikes": SPIKES + np.nan}, "spikes must be 0, 1 or counts, not nan"),
    ({"spikes": SPIKES[0]}, "spikes must be numbers with at least 3 dimensions and one sample, not "
                            "uint8 of shape (4, 3)"),
    ({"images": np.zeros((0, 3))}, "images must be numbers with at least 2 dimensions and one "
                                   "sample, not float64 of shape (0, 3)"),
    ({"spikes": SPIKES - 0.5}, "spikes must be 0, 1 or counts, not -0.5"),
    ({"spikes": SPIKES, "labels": np.arange(4)}, "4 labels but spikes of shape (6, 4, 3): the "
     "samples seem to lie on axis 1, they belong on axis 0"),
    ({"spikes": SPIKES, "labels": np.arange(5)}, "5 labels but spikes of shape (6, 4, 3)"),
    ({"spikes": SPIKES, "labels": np.arange(6) - 1}, "labels must be from 0, not -1"),
    ({"spikes": SPIKES, "labels": np.full(6, 2**40)}, "labels must be from 0, not 1099511627776"),
    ({"spikes": SPIKES, "labels": np.arange(6) / 2}, "labels must be whole numbers, not 0.5"),
    ({"spikes": SPIKES, "labels": np.zeros((6, 1))}, "labels must be whole numbers with one "
                                                     "dimension, not float64 of shape (6, 1)"),
    ({"images": np.full((2, 3), 2.0)}, "images must be in 0..1, or unsigned bytes, not 2.0"),
    ({"images": np.full((2, 3), np.nan)}, "images must be in 0..1, or unsigned bytes, not nan"),
])
def test_bad_arrays_are_refused(tmp_path, refused, arrays, message):
    path = save(tmp_path / "bad.npz", **arrays)
    with refused(f"{path}: {message}"):
        load_data(str(path))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 half a zip"])
def test_files_that_are_no_npz_are_refused(tmp_path, refused, content):
    path = tmp_path / "bad.npz"
    path.write_bytes(content)
    with refused(f"{path}: not an npz file of plain arrays, or damaged"):
        load_data(str(path))


def test_pickles_are_refused(tmp_path, refused):
    path = save(tmp_path / "bad.npz", spikes=np.array([{"a": 1}]))
    with refused(f"{path}: not an npz file of plain arrays, or damaged"):
        load_data(str(path))


IMAGES = Dataset(name="d", shape=(2, 3), images=np.zeros((2, 6)), labels=np.array([0, 12]))
EVENTS = Dataset(name="d", shape=(6,), spikes=np.zeros((2, 4, 6), dtype=np.uint8))


@pytest.mark.parametrize(("data", "network", "message"), [
    (IMAGES, Shape((7,)), "frames have 6 axons, shape (2, 3); the network has 7, shape (7,)"),
    (EVENTS, Shape((4,)), "frames have 6 axons, shape (6,); the network has 4, shape (4,); axis 1 "
                          "seems to hold the axons, the order is [N,T,axons]"),
    (IMAGES, Shape((3, 2)), "frames must have shape (3, 2) like the network's input, not (2, 3): "
                            "the axes are in another order"),
    (EVENTS, Shape((6,), timesteps=5), "samples have 4 timesteps, the network runs 5; "
                                       "say --timesteps 4"),
    (IMAGES, Shape((6,), encoder=Encoder(kind="spikes")), "the network takes spikes, not images; "
     "choose --encoder bernoulli, rate, latency or constant"),
    (IMAGES, Shape((6,), encoder=Encoder(kind="delta")), "the network takes signals, not images; "
     "choose --encoder bernoulli, rate, latency or constant"),
    (IMAGES, Shape((1, 2, 3)), "labels must be in 0..9 for 10 outputs, not 12"),
])
def test_data_that_do_not_fit_the_network_are_refused(refused, data, network, message):
    with refused(f"--data d: {message}"):
        data.check(network)


def test_random_data_are_the_same_everywhere(refused):
    network = Shape((64,))
    data = random_data(50, network, seed=3)
    assert data.spikes.shape == (50, 4, 64) and data.labels is None
    assert 0.17 < data.spikes.mean() < 0.23
    np.testing.assert_array_equal(data.spikes[:7], random_data(7, network, seed=3).spikes)
    assert (data.spikes != random_data(50, network, seed=4).spikes).any()
    with refused("random samples must be at least 1, not 0"):
        random_data(0, network)
