"""Training on a device: no step waits, the next batch is made meanwhile, NaN is named."""

import contextlib
import threading

import numpy as np
import pytest
import torch
from simulated_device import DEVICE, DeviceTensor, moved, on_device, read
from torch import nn

from dmlbench.combiners.fixed import EqualSum
from dmlbench.combiners.wel import WeightedEnsemble
from dmlbench.data import transforms
from dmlbench.data.images import ImageSet
from dmlbench.data.transforms import TrainTransform
from dmlbench.errors import TrialFailure
from dmlbench.losses.contrastive import ContrastiveLoss
from dmlbench.losses.margin import MarginLoss
from dmlbench.losses.norm_softmax import NormSoftmaxLoss
from dmlbench.plan.recipe import load_recipe
from dmlbench.training import input_stream, step_values, train
from dmlbench.training.input_stream import batches
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.parts import TrainingModules
from dmlbench.training.step_values import NotFinite, StepValues
from dmlbench.training.train import Trainer

IMAGES = ImageSet(
    np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8)).astype(np.uint8),
    np.arange(4).repeat(4),
    tuple("abcd"),
)
AUGMENT = [
    {"name": "random_resized_crop"},
    {"name": "shift", "pixels": 1},
    {"name": "flip"},
    {"name": "color_jitter"},
]
SETTINGS = {"epochs": 2, "validate_every": 9, "batch.classes": 2, "batch.images": 4}
SETTINGS |= {"optimizer.name": "sgd", "optimizer.max_gradient_norm": 1.0}


class Backbone(nn.Module):
    num_features = 6

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * 8 * 8, self.num_features)

    def forward(self, images):
        return self.layer(images.flatten(1))


class Generator:
    """Draws on the device what a generator of the CPU draws."""

    device = DEVICE

    def __init__(self, generator):
        self.drawn = generator


class Copies:
    """As `CudaCopies`, to the simulated device; remembers what was sent and received, in turn."""

    def __init__(self):
        self.told = []

    def send(self, tensors):
        self.told.append("sent")
        return [on_device(tensor) for tensor in tensors]

    def receive(self, sent):
        self.told.append("received")
        return sent


class Late(step_values._Read):
    """Values that arrive, as on CUDA, and are read by the test's leave."""

    def arrived(self):
        return True

    def values(self):
        return read(self._values)


def parts(device, combiner=None, losses=None):
    torch.manual_seed(0)
    place = moved if device.type != "cpu" else lambda module: module
    modules = losses or [ContrastiveLoss(), MarginLoss(num_classes=4), NormSoftmaxLoss(4, 5)]
    transform = TrainTransform(AUGMENT, 8, [0.5] * 3, [0.2] * 3)
    transform._scale, transform._bias = (
        values if device.type == "cpu" else on_device(values)
        for values in (transform._scale, transform._bias)
    )
    return TrainingModules(
        model=place(EmbeddingModel(Backbone(), [5])),
        losses=place(nn.ModuleList(modules)),
        loss_names=[module.name for module in modules],
        combiner=place(combiner or WeightedEnsemble(len(modules))),
        train_transform=transform,
        test_transform=transform,
        device=device,
    )


@pytest.fixture
def device(simulated_device, monkeypatch):
    """The simulated device, with what torch does not make for it."""
    seed_epoch = train.seed_epoch
    monkeypatch.setattr(
        train, "seed_epoch", lambda *given: Generator(seed_epoch(*given[:2], torch.device("cpu")))
    )
    for name in ("_uniform", "_integers"):
        draw = getattr(transforms, name)
        monkeypatch.setattr(
            transforms,
            name,
            lambda *given, draw=draw: on_device(draw(*given[:-1], given[-1].drawn)),
        )
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(input_stream, "copies_to", lambda device: Copies())
    monkeypatch.setattr(step_values, "_Read", Late)
    monkeypatch.setattr(DeviceTensor, "tolist", lambda self: read(self).tolist())  # epoch's weights
    return DEVICE


def _there(draw):
    return lambda *given: on_device(draw(*given[:-1], given[-1].drawn))


def history(trainer):
    return [record | {"weights": None} for record in trainer.run()]


def test_an_epoch_waits_for_nothing_and_gives_the_numbers_of_the_cpu(device, monkeypatch):
    recipe = load_recipe("quick", SETTINGS)
    found = history(Trainer(parts(device), recipe, IMAGES, 0, lambda epoch: 0.5))
    monkeypatch.undo()
    assert [record["epoch"] for record in found] == [1, 2]
    expected = _on_the_cpu(recipe)
    for one, other in zip(found, expected, strict=True):
        assert one["objective"] == pytest.approx(other["objective"], rel=1e-4)
        assert one["losses"] == pytest.approx(other["losses"], rel=1e-4)


def _on_the_cpu(recipe):
    with pytest.MonkeyPatch.context() as patch:
        boxes = transforms._resize_together
        patch.setattr(
            transforms.F, "interpolate", lambda *_, **__: pytest.fail("resized one by one")
        )
        resized = transforms.random_resized_crop

        def together(images, *, size, generator, covered=None):
            height, width = (torch.full((len(images),), side) for side in images.shape[2:])
            sizes = torch.stack([height, width], dim=1)
            drawn = transforms._boxes(sizes, (0.08, 1.0), (3 / 4, 4 / 3), generator)
            return boxes(images, drawn, size)

        patch.setitem(transforms._FUNCTIONS, resized.__name__, together)
        cpu = torch.device("cpu")
        return history(Trainer(parts(cpu), recipe, IMAGES, 0, lambda epoch: 0.5))


class Breaking(ContrastiveLoss):
    """NaN in its third step, and an error of another kind some steps later."""

    calls = 0

    def forward(self, embeddings, labels):
        self.calls += 1
        value = super().forward(embeddings, labels)
        if self.calls > 4:
            raise RuntimeError("a product of what is not finite")
        return value * torch.nan if self.calls >= 3 else value


@pytest.mark.parametrize("at_once", [True, False], ids=["read soon", "read at the end"])
def test_a_loss_that_is_not_finite_is_named_with_its_step(device, monkeypatch, at_once):
    monkeypatch.setattr(Late, "arrived", lambda self: at_once)
    recipe = load_recipe("quick", SETTINGS | {"batch.images": 2})
    trainer = Trainer(parts(device, EqualSum(1), [Breaking()]), recipe, IMAGES, 0, lambda _: 0.5)
    with pytest.raises(NotFinite, match="contrastive is nan at step 2") as failure:
        [*trainer.run()]
    assert failure.value.step == 2


def test_an_error_without_a_nan_before_it_is_raised_as_it_is():
    values = StepValues(["one"])
    with pytest.raises(TrialFailure, match="^its own$"), values.explaining():
        values.add(torch.ones(2), 0)
        raise TrialFailure("its own")


def test_training_on_nothing_is_still_an_error(device):
    recipe = load_recipe("quick", SETTINGS | {"batch.images": 1, "batch.classes": 4})
    loss = ContrastiveLoss(neg_margin=0.0)
    trainer = Trainer(parts(device, EqualSum(1), [loss]), recipe, IMAGES, 0, lambda _: 0.5)
    trainer._has_gradient = lambda: False
    with pytest.raises(TrialFailure, match="exactly 0"):
        [*trainer.run()]


def rows(count):
    return [np.array([i, i + 1]) for i in range(count)]


def test_the_next_batch_is_on_the_device_while_one_is_computed():
    """A device so slow that its computation ends only once the next batch was sent."""

    class Slow(Copies):
        def __init__(self):
            super().__init__()
            self.sent = [threading.Event() for _ in range(6)]

        def send(self, tensors):
            self.sent[self.told.count("sent")].set()
            return super().send(tensors)

    copies = Slow()
    for index, batch in enumerate(batches(IMAGES.images, IMAGES.labels, rows(6), DEVICE, copies)):
        assert batch.host_labels.tolist() == IMAGES.labels[[index, index + 1]].tolist()
        assert torch.equal(read(batch.stored), torch.from_numpy(IMAGES.images[index : index + 2]))
        if index < 5:
            assert copies.sent[index + 1].wait(60), "the next batch waits for this one"
    assert copies.told.count("received") == 6


def test_no_more_is_made_ahead_than_fits():
    copies = Copies()
    made = batches(IMAGES.images, None, rows(12), DEVICE, copies)
    next(made)
    threading.Event().wait(0.3)
    # One is used, `AHEAD` wait, and one is in the thread's hands.
    assert copies.told.count("sent") <= input_stream.AHEAD + 2
    made.close()
    assert not [t for t in threading.enumerate() if t.name == "dmlbench input"]


def test_what_cannot_be_read_is_raised_at_its_batch_and_leaves_no_thread():
    class Broken:
        def __getitem__(self, index):
            if 3 in index:
                raise OSError("the disk is gone")
            return IMAGES.images[index]

    made = batches(Broken(), None, rows(6), DEVICE, Copies())
    assert len([next(made), next(made)]) == 2
    with pytest.raises(OSError, match="the disk is gone"):
        next(made)
    assert not [t for t in threading.enumerate() if t.name == "dmlbench input"]


def test_on_a_cpu_a_batch_is_gathered_when_it_is_asked_for():
    read_so_far = []

    class Images:
        def __getitem__(self, index):
            read_so_far.append(index.tolist())
            return IMAGES.images[index]

    made = batches(Images(), IMAGES.labels, rows(3), torch.device("cpu"))
    next(made)
    assert read_so_far == [[0, 1]]
