"""Photographs of dates, figs and hazelnuts: 18 pictures, 165 outlines, three classes that touch each other.

Source: github.com/Tony607/mmdetection_instance_segmentation_demo, folder data/, at commit df8f8d1, MIT licence.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .coco import CocoDataset

COMMIT = "df8f8d10fb34103a21834bf6386d4101a9b9fe3e"
# Assumed of the published folder data/: trainval.json beside images/0.jpg … images/17.jpg, as the names below say.
# If the publisher ever kept them elsewhere, a download fails with the address it tried.
BASE_URL = f"https://raw.githubusercontent.com/Tony607/mmdetection_instance_segmentation_demo/{COMMIT}/data/"
DATA_VARIABLE = "MRCNN_EDU_DATA"
TRAIN_IMAGES = 12
SHA256 = {
    "trainval.json": "9007373f84d1150fd98563d2c7f380ebc4e8e1b8a3684553c5a561ec18d18157",
    "images/0.jpg": "00b7c60735160d518fac98727df76b8a6e940844db7c0f43ec2e1ec94a852e6a",
    "images/1.jpg": "2dc5ace297f9511d46e9c42143da0083bd504bf2237cd0b8cde7134803cb84b1",
    "images/2.jpg": "a9b862999079b0a0494469d5bd697d15ef18dbb62575616556664a530c4fe184",
    "images/3.jpg": "29371aea539cad38671c62595a8f3979c47f6f30331d9dad3fbcfb26bf7a6e27",
    "images/4.jpg": "847c927bfbaec20806c660bccc26e3044923aef3c5d39dc7bba85d0711cdeeb7",
    "images/5.jpg": "4b0a21c6ae2e1c76e34b22ba8ce1107ff71914689e4141e292a7956b61b055ab",
    "images/6.jpg": "56d8a495af0516d64192fb7ccbbf441f35a1cf97b69901cb2d8b3f6b8cdc978a",
    "images/7.jpg": "1842b13b70d31cc7b4755dd2097cd2e003cc4b03dcef36a5e64059121ddea5b4",
    "images/8.jpg": "5d61cccf81dbfde0272806339869dc2635056373c567391dfd3f2ce5de8c31f4",
    "images/9.jpg": "6fa9f11ad5b7569e2cab5efa0f7f9d187bea9d5b593a23c7590407d346becceb",
    "images/10.jpg": "94c404616afba00dadd0b62ce478aa8659a18a24159989c7f1720328c485d36e",
    "images/11.jpg": "e5685fd02dc663b9c78ccea7fda758d41736f131b7f7445a846ae84c7dfcbb66",
    "images/12.jpg": "5608b2a97268e5da457c8c7932646b0ebeb59dff07340ca196ca4e7fdba6d125",
    "images/13.jpg": "742bd7413cff18d0a5bb747a67a980a249ba0af4524d0b838508116512255cfb",
    "images/14.jpg": "f9818b40b6ac88099de75c282804a11aa314902d5ce71c22f72a1fa5d29b9f05",
    "images/15.jpg": "04c828e8e2ac544b09050ad1eeb744b76f1a09afe25f40307d02b997e787eca4",
    "images/16.jpg": "e95f6d107741f220512904ef450dc0e7a04b46d71182d4dbd8984d34faf8163b",
    "images/17.jpg": "ac9f23b4edb1d5cc573252accf1a75e3790ddd7ccc865c39e59f7969912f7858",
}


class FruitsNuts(CocoDataset):
    """The fruit photographs: the first 12 entries of the file's `images` for training, the last 6 for validation.

    They are read from the folder `fruits_nuts/` under the one that the environment variable MRCNN_EDU_DATA names;
    if it is not set, they are downloaded once (about 5 MB) into the user's cache folder.

    split     "train", "val" or "all"
    max_side  longest side in pixels, 800 as published; masks are reduced with the images
    cache     keep decoded samples in memory
    folder    where the files are, instead of the two places above
    raises    ValueError for an unknown split; FileNotFoundError or OSError saying what is missing and how to get it
    """

    def __init__(
        self,
        split: str = "train",
        max_side: int | None = 320,
        cache: bool = True,
        folder: str | Path | None = None,
    ):
        parts = {"train": range(TRAIN_IMAGES), "val": range(TRAIN_IMAGES, 18), "all": range(18)}
        if split not in parts:
            raise ValueError(f"split: {split!r} is none of {', '.join(parts)}")
        folder = Path(folder) if folder is not None else fruits_nuts_folder()
        super().__init__(
            folder / "trainval.json",
            folder / "images",
            name="fruits_nuts",
            subset=parts[split],
            max_side=max_side,
            cache=cache,
        )


def fruits_nuts_folder() -> Path:
    """The folder with the photographs: the named one, checked, or the user's cache after a download.

    raises  FileNotFoundError, ValueError or OSError as `check_files` and `download` do
    """
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        return download()
    folder = Path(named) / "fruits_nuts"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; {DATA_VARIABLE} must name the folder that holds fruits_nuts/ "
            "(unset it to download the photographs)"
        )
    check_files(folder)
    return folder


def check_files(folder: Path) -> None:
    """Compare every file of the data set with its SHA-256.

    raises  FileNotFoundError for a missing file, ValueError for one with other content
    """
    for name, expected in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: this file of the data set is missing; copy it from {BASE_URL}{name}")
        if file_sha256(path) != expected:
            raise ValueError(
                f"{path}: the file differs from the published one (SHA-256); copy it from {BASE_URL}{name}"
            )


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def download(
    folder: str | Path | None = None,
    base_url: str = BASE_URL,
    files: dict[str, str] | None = None,
    progress: bool = True,
) -> Path:
    """Fetch the files that are not there yet, check each, and return the folder.

    A file takes its name only after its SHA-256 is right, so an interrupted download goes on where it stopped and
    half a file never counts. A file with wrong content is fetched again.

    folder    where to; the user's cache folder by default
    base_url  what the names in `files` are appended to
    files     name -> SHA-256; the fruit photographs by default
    progress  show a bar
    raises    OSError naming the address and what to do if a file cannot be fetched or has the wrong content
    """
    import pooch
    from tqdm.auto import tqdm

    files = SHA256 if files is None else files
    folder = Path(folder) if folder is not None else Path(pooch.os_cache("mrcnn_edu")) / "fruits_nuts"
    missing = [n for n in files if not (folder / n).is_file() or file_sha256(folder / n) != files[n]]
    # pooch announces every file on its own; the bar says the same in one line.
    pooch.get_logger().setLevel("WARNING")
    fetch = pooch.HTTPDownloader(timeout=30)
    for name in tqdm(missing, desc="fruit photographs", unit="file", disable=not progress or not missing):
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            pooch.retrieve(
                base_url + name, f"sha256:{files[name]}", fname=target.name, path=target.parent, downloader=fetch
            )
        except Exception as error:  # pooch and what it downloads with have classes of their own
            raise OSError(
                f"{base_url}{name} could not be fetched to {target} ({error}); connect to a network and call again "
                f"(files already here are kept), or let {DATA_VARIABLE} name a folder that holds fruits_nuts/"
            ) from error
    return folder
