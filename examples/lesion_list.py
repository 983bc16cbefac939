"""Make a data list of skin lesions that lie as ISIC or PH2 have them.

    python examples/lesion_list.py FOLDER lesions.json --validation 20 --test 50

ISIC: `NAME.jpg` and `NAME_segmentation.png`, in one folder or in two below FOLDER. PH2: below a folder `IMD002`, a
picture `IMD002_Dermoscopic_Image/IMD002.bmp` and a mask `IMD002_lesion/IMD002_lesion.bmp`. Pictures without a mask are
listed too: the generator and the encoder learn from them.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from pathlib import Path

from monai_semgan import read_volume

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")

MASK = re.compile(r"(?P<name>.+)_(segmentation|lesion)$", re.IGNORECASE)

NEITHER = re.compile(r"(_superpixels|_R\d+_Label\d+|_attribute_\w+)$", re.IGNORECASE)
"""Further pictures in these data sets: superpixels, regions of one colour, dermoscopic structures."""


def find_lesions(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Pictures and masks by name of the lesion."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in PICTURES or NEITHER.search(path.stem):
            continue
        if found := MASK.match(path.stem):
            masks[found["name"]] = path
        else:
            images[path.stem] = path
    return images, masks


def lesion_id(mask: Path) -> int:
    """The value of the lesion in a mask: 255, or 1 where a pixel is one bit."""
    return int(read_volume(mask, integer=True).array.max())


def make_list(folder: Path, validation: int, test: int, labelled: int | None, seed: int = 0) -> dict[str, object]:
    """The data list, with paths relative to the folder.

    Args:
        folder: of the data set.
        validation: lesions with masks to choose the best weights by.
        test: lesions with masks that training never sees.
        labelled: of the others so many keep their masks; all when left out.
        seed: of the draw.
    """
    images, masks = find_lesions(folder)
    names = sorted(set(images) & set(masks))
    if len(names) <= validation + test:
        raise SystemExit(f"{folder}: {len(names)} lesions with masks, too few for {validation} + {test} and training")
    random.Random(seed).shuffle(names)
    held, rest = names[: validation + test], names[validation + test :]
    kept = set(rest if labelled is None else rest[:labelled])

    def entry(name: str, with_mask: bool) -> dict[str, str]:
        found = {"image": images[name].relative_to(folder).as_posix(), "patient": name, "modality": "XC"}
        return found | ({"label": masks[name].relative_to(folder).as_posix()} if with_mask else {})

    unlabelled = sorted(set(images) - set(names))
    return {
        "labels": {str(lesion_id(masks[names[0]])): "skin lesion"},
        "training": [entry(name, name in kept) for name in (*rest, *unlabelled)],
        "validation": [entry(name, True) for name in held[:validation]],
        "test": [entry(name, True) for name in held[validation:]],
    }


def main() -> None:
    """Write the list into the folder of the data set, since its paths are relative to it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name", help="of the list, which is written into FOLDER")
    parser.add_argument("--validation", type=int, default=20)
    parser.add_argument("--test", type=int, default=50)
    parser.add_argument("--labelled", type=int, help="of the training lesions only so many keep their masks")
    asked = parser.parse_args()
    found = make_list(asked.folder, asked.validation, asked.test, asked.labelled)
    path = asked.folder / asked.name
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {path}: " + ", ".join(f"{len(found[s])} {s}" for s in ("training", "validation", "test")))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
