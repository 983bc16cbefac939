"""Slices of a data list are built once, kept on disk, and rebuilt exactly when something changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import torch

from monai_semgan.data.datalist import Entry, load_datalist
from monai_semgan.data.preparation import build_slice_set
from monai_semgan.data.slice_set import SliceSet
from monai_semgan.errors import Cancelled, SemganError
from monai_semgan.losses.label_losses import UNLABELLED
from monai_semgan.slicing.encoding import decode, encode
from monai_semgan.slicing.preprocessing import Preprocessing
from monai_semgan.transforms import dictionary
from monai_semgan.utils.progress import NullProgress
from tests.phantoms import grid, organ_dice, patient, save_datalist, save_nifti, save_patient

COARSE = Preprocessing(size=64, pixel_mm=5.5)
GRIDS = {"spacing": (5.0, 5.0, 20.0)}


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Entry, ...]:
    """A labelled CT, an unlabelled CT, a labelled MR stored in another order."""
    folder = tmp_path_factory.mktemp("patients")
    saved = [
        save_patient(folder, "ann", **GRIDS),
        save_patient(folder, "bert", label=False, **GRIDS),
        save_patient(folder, "cleo", "MR", codes="PSR", **GRIDS),
    ]
    return load_datalist(save_datalist(folder, training=saved)).training


@pytest.fixture(scope="module")
def slice_set(entries: tuple[Entry, ...]) -> SliceSet:
    return build_slice_set(entries, COARSE)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the images that are really read, in order."""
    names: list[str] = []
    read = dictionary.read_volume

    def counted(path: str) -> object:
        names.append(Path(path).name)
        return read(path)

    monkeypatch.setattr(dictionary, "read_volume", counted)
    yield names


def test_slices_know_their_volume_and_whether_they_are_labelled(slice_set: SliceSet) -> None:
    assert slice_set.patients == ("ann", "bert", "cleo") and slice_set.modalities == ("CT", "CT", "MR")
    assert slice_set.images.shape == (len(slice_set), 1, 64, 64) and slice_set.images.dtype == torch.uint8
    assert slice_set.volume_index.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert slice_set.labelled_indices.tolist() == [*range(10), *range(20, 30)]
    assert slice_set.unlabelled_indices.tolist() == list(range(30))
    assert set(slice_set.organ_indices.tolist()) < set(slice_set.labelled_indices.tolist())
    assert (slice_set.labels[10:20] == UNLABELLED).all()


def test_a_batch_is_what_the_networks_want(slice_set: SliceSet) -> None:
    image, label = slice_set.batch([5, 15, 25])
    assert image.shape == (3, 1, 64, 64) and image.dtype == torch.float32
    assert image.min() == -1 and image.max() <= 1
    assert label.shape == (3, 64, 64) and label.dtype == torch.int64
    assert label[0].max() == 4 and (label[1] == UNLABELLED).all()
    assert torch.equal(image, slice_set.batch(torch.tensor([5, 15, 25]))[0])


def test_ct_and_mr_of_one_patient_lie_alike_whatever_their_storage_order(slice_set: SliceSet) -> None:
    ct, mr = (slice_set.labels[slice_set.volume_slices(v)].numpy() for v in (0, 2))
    assert organ_dice(ct, mr) > 0.93


def test_eight_bits_lose_less_than_noise() -> None:
    image = torch.linspace(-1, 1, 1001)
    assert (decode(encode(image)) - image).abs().max() < 0.004
    assert decode(encode(torch.tensor([-1.0, 1.0]))).tolist() == [-1.0, 1.0]


def test_labels_of_a_volume_return_to_its_file_s_grid(slice_set: SliceSet, entries: tuple[Entry, ...]) -> None:
    import nibabel

    numbers = slice_set.volume_slices(2)
    scores = torch.nn.functional.one_hot(slice_set.labels[numbers].long(), 5).permute(0, 3, 1, 2).float()
    native = np.asanyarray(nibabel.load(entries[2].label).dataobj)
    assert organ_dice(slice_set.geometries[2].restore_label(scores), native) > 0.93


def test_an_unchanged_list_is_taken_from_the_cache(
    entries: tuple[Entry, ...], slice_set: SliceSet, tmp_path: Path, computed: list[str]
) -> None:
    for _ in range(2):
        again = build_slice_set(entries, COARSE, tmp_path)
        assert torch.equal(again.images, slice_set.images) and torch.equal(again.labels, slice_set.labels)
        assert again.geometries[2].to_dict() == slice_set.geometries[2].to_dict()
    assert computed == ["ann.nii.gz", "bert.nii.gz", "cleo.nii.gz"]


def test_the_cache_is_shared_by_lists_that_overlap(
    entries: tuple[Entry, ...], tmp_path: Path, computed: list[str]
) -> None:
    build_slice_set(entries[:2], COARSE, tmp_path)
    build_slice_set(entries[1:], COARSE, tmp_path)
    assert computed == ["ann.nii.gz", "bert.nii.gz", "cleo.nii.gz"]


def test_a_changed_file_is_rebuilt_and_the_others_are_not(tmp_path: Path, computed: list[str]) -> None:
    saved = [save_patient(tmp_path, name, **GRIDS) for name in ("ann", "bert")]
    entries = load_datalist(save_datalist(tmp_path, training=saved)).training
    before = build_slice_set(entries, COARSE, tmp_path / "cache")
    computed.clear()
    affine, shape = grid(**GRIDS)
    save_nifti(entries[1].image, patient(affine, shape, seed=99).array, affine)
    after = build_slice_set(entries, COARSE, tmp_path / "cache")
    assert computed == ["bert.nii.gz"]
    assert torch.equal(before.images[:10], after.images[:10]) and not torch.equal(before.images[10:], after.images[10:])
    computed.clear()
    os.utime(entries[0].label, ns=(1, 1))  # type: ignore[arg-type]
    build_slice_set(entries, COARSE, tmp_path / "cache")
    assert computed == ["ann.nii.gz"]


@pytest.mark.parametrize("ending", [".mhd", ".nhdr"])
@pytest.mark.parametrize("part", ["image", "label"])
def test_voxels_that_lie_beside_their_header_are_looked_at(ending: str, part: str, tmp_path: Path) -> None:
    """Voxels corrected, header as it was: what is trained on is the new image and label."""
    saved = save_patient(tmp_path, "ann", **GRIDS)
    files = {name: str(tmp_path / f"{name}{ending}") for name in ("image", "label")}
    for name, file in files.items():
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(tmp_path / saved[name])), file)
    entries = load_datalist(save_datalist(tmp_path, training=[files])).training
    build_slice_set(entries, COARSE, tmp_path / "cache")
    header = Path(files[part]).read_bytes()
    image = SimpleITK.ReadImage(files[part])
    SimpleITK.WriteImage(SimpleITK.Flip(image, [True, False, False]), files[part])
    Path(files[part]).write_bytes(header)
    after, fresh = (build_slice_set(entries, COARSE, place) for place in (tmp_path / "cache", None))
    assert torch.equal(after.images, fresh.images) and torch.equal(after.labels, fresh.labels)


def test_another_version_of_the_package_reads_files_anew(
    entries: tuple[Entry, ...], tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_slice_set(entries[:1], COARSE, tmp_path)
    monkeypatch.setattr("monai_semgan.data.cache.__version__", "99.0")
    build_slice_set(entries[:1], COARSE, tmp_path)
    assert len(computed) == 2


def test_a_file_that_is_replaced_while_it_waits_is_not_kept_under_its_old_state(tmp_path: Path) -> None:
    saved = [save_patient(tmp_path, name, **GRIDS) for name in ("ann", "bert")]
    entries = load_datalist(save_datalist(tmp_path, training=saved)).training
    old, affine = entries[1].image.read_bytes(), grid(**GRIDS)[0]
    times = entries[1].image.stat().st_mtime_ns

    class Replacing(NullProgress):
        """Another program replaces the second image while the first is prepared."""

        def update(self, done: int, total: int, message: str = "", **values: float) -> None:
            if done == 1:
                save_nifti(entries[1].image, patient(affine, grid(**GRIDS)[1], seed=99).array, affine)

    build_slice_set(entries, COARSE, tmp_path / "cache", Replacing())
    entries[1].image.write_bytes(old)
    os.utime(entries[1].image, ns=(times, times))
    again, fresh = (build_slice_set(entries, COARSE, place) for place in (tmp_path / "cache", None))
    assert torch.equal(again.images, fresh.images)


def test_pixels_of_another_set_do_not_pass_for_those_of_the_volumes(slice_set: SliceSet, tmp_path: Path) -> None:
    """As a process that was killed between the two files leaves them."""
    slice_set.select([0, 1]).save(tmp_path / "one")
    slice_set.select([1, 2]).save(tmp_path / "other")
    os.replace(tmp_path / "other" / "slices.npz", tmp_path / "one" / "slices.npz")
    with pytest.raises(SemganError, match="broken"):
        SliceSet.load(tmp_path / "one")


@pytest.mark.parametrize("setting", [{"pixel_mm": 6.0}, {"size": 48}, {"window": (-100.0, 200.0)}, {"num_classes": 3}])
def test_a_changed_setting_rebuilds(
    entries: tuple[Entry, ...], tmp_path: Path, computed: list[str], setting: dict
) -> None:
    build_slice_set(entries[:1], COARSE, tmp_path)
    build_slice_set(entries[:1], Preprocessing(**{**COARSE.to_dict(), **setting}), tmp_path)
    build_slice_set(entries[:1], COARSE, tmp_path)
    assert len(computed) == 2


def test_taking_the_label_away_is_noticed(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    build_slice_set(entries[:1], COARSE, tmp_path)
    bare = build_slice_set([Entry(entries[0].image, None, "ann")], COARSE, tmp_path)
    assert not len(bare.labelled_indices)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"not torch at all" * 100])
def test_a_broken_cache_file_is_made_again(
    entries: tuple[Entry, ...], slice_set: SliceSet, tmp_path: Path, content: bytes
) -> None:
    build_slice_set(entries[:1], COARSE, tmp_path)
    (file,) = tmp_path.glob("*.pt")
    file.write_bytes(content or file.read_bytes()[:1000])
    again = build_slice_set(entries[:1], COARSE, tmp_path)
    assert torch.equal(again.images, slice_set.images[:10])


def test_a_kill_while_the_cache_is_written_leaves_no_broken_file(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    script = """
    import os, sys, torch
    from pathlib import Path
    from monai_semgan.data.preparation import Entry, Preprocessing, build_slice_set
    save = torch.save
    def half(result, path):
        save(result, path)
        os.truncate(path, 1000)
        os.kill(os.getpid(), 9)
    torch.save = half
    build_slice_set([Entry(Path(sys.argv[1]), None, "ann")], Preprocessing(size=64, pixel_mm=5.5), sys.argv[2])
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(entries[0].image), str(tmp_path)])
    assert result.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("*.pt"))
    assert len(build_slice_set([Entry(entries[0].image, None, "ann")], COARSE, tmp_path)) == 10


def test_a_cache_that_cannot_be_written_does_not_stop_the_work(
    entries: tuple[Entry, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dictionary.torch, "save", full)
    assert len(build_slice_set(entries[:1], COARSE, tmp_path)) == 10
    assert not list(tmp_path.iterdir())


def test_a_cache_folder_that_is_a_file_is_named(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SemganError, match="cache folder cannot be made"):
            build_slice_set(entries[:1], COARSE, path)


def test_a_bad_volume_is_named_as_when_it_is_read_alone(tmp_path: Path) -> None:
    image = save_nifti(tmp_path / "a.nii.gz", np.full((4, 4, 4), np.nan))
    with pytest.raises(SemganError, match="a.nii.gz: 64 voxels are NaN or infinite"):
        build_slice_set([Entry(image, None, "a")], COARSE, tmp_path / "cache")
    with pytest.raises(SemganError, match="none.nii.gz: no such file"):
        build_slice_set([Entry(tmp_path / "none.nii.gz", None, "a")], COARSE)
    with pytest.raises(SemganError, match="there are no volumes"):
        build_slice_set([], COARSE)


def test_labels_without_any_class_are_refused_with_the_ids_that_they_hold(entries: tuple[Entry, ...]) -> None:
    wrong = Preprocessing(size=64, pixel_mm=5.5, num_classes=2, label_ids=(100,))
    with pytest.raises(SemganError, match=r"hold none of the ids of the classes \(100\) but 1, 2.*data list"):
        build_slice_set(entries[:1], wrong)


def test_progress_counts_the_scans_and_can_stop(entries: tuple[Entry, ...], tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []

    class Listener:
        def update(self, done: int, total: int, message: str = "", **values: float) -> None:
            told.append((done, total, message))

        def should_stop(self) -> bool:
            return len(told) == 2

    with pytest.raises(Cancelled, match="what was prepared is kept"):
        build_slice_set(entries, COARSE, tmp_path, Listener())
    assert told == [(1, 3, "preparing scan"), (2, 3, "preparing scan")]
    assert len(list(tmp_path.glob("*.pt"))) == 2


def test_a_slice_set_travels_as_a_small_folder(slice_set: SliceSet, tmp_path: Path) -> None:
    folder = slice_set.save(tmp_path / "set")
    assert sum(f.stat().st_size for f in folder.iterdir()) < slice_set.images.numel() * 0.8
    copy = SliceSet.load(folder)
    for name in ("images", "labels", "volume_index"):
        assert torch.equal(getattr(copy, name), getattr(slice_set, name)), name
    assert copy.patients == slice_set.patients and copy.preprocessing == slice_set.preprocessing
    assert [g.to_dict() for g in copy.geometries] == [g.to_dict() for g in slice_set.geometries]
    assert copy.entries[2].label == slice_set.entries[2].label


@pytest.mark.parametrize("case", ["absent", "truncated pixels", "broken text", "too few slices"])
def test_a_broken_slice_set_is_refused(slice_set: SliceSet, tmp_path: Path, case: str) -> None:
    folder = slice_set.save(tmp_path / "set")
    if case == "absent":
        (folder / "slices.npz").unlink()
    elif case == "truncated pixels":
        (folder / "slices.npz").write_bytes((folder / "slices.npz").read_bytes()[:5000])
    elif case == "broken text":
        (folder / "volumes.json").write_text("{")
    else:
        described = json.loads((folder / "volumes.json").read_text())
        (folder / "volumes.json").write_text(json.dumps({**described, "volumes": described["volumes"][:2]}))
    with pytest.raises(SemganError, match="no slice set|broken"):
        SliceSet.load(folder)


def test_some_volumes_of_a_set_form_a_set(slice_set: SliceSet) -> None:
    part = slice_set.select([2, 0])
    assert part.patients == ("cleo", "ann") and len(part) == 20
    assert torch.equal(part.images[part.volume_slices(0)], slice_set.images[slice_set.volume_slices(2)])
    assert part.geometries[1] is slice_set.geometries[0]
