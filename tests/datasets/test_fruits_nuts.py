"""The fruit photographs: what is in them, and a download that can be interrupted at any point."""

import hashlib
import http.server
import threading

import pytest
import torch

from mrcnn_edu.datasets import FruitsNuts, check_dataset, load_dataset
from mrcnn_edu.datasets.fruits_nuts import SHA256, check_files, download


@pytest.mark.photos
def test_split_classes_and_counts(photos):
    train, val = load_dataset("fruits_nuts", "train"), load_dataset("fruits_nuts", "val")
    assert train.class_names == val.class_names == ("background", "date", "fig", "hazelnut")
    assert [entry["id"] for entry in train.images] == list(range(12))
    assert [entry["id"] for entry in val.images] == list(range(12, 18))
    labels = torch.cat([target["labels"] for dataset in (train, val) for _, target in dataset])
    assert torch.bincount(labels).tolist() == [0, 71, 41, 53]
    assert train[0][0].shape == (3, 240, 320)
    assert len(train.coco()["annotations"]) + len(val.coco()["annotations"]) == 165


@pytest.mark.photos
def test_full_size_and_reduced_masks_agree(photos):
    full, small = FruitsNuts("val", max_side=None, folder=photos), FruitsNuts("val", folder=photos)
    for (image, target), (image_2, target_2) in zip(full, small, strict=True):
        assert image.shape == (3, 600, 800) and image_2.shape == (3, 240, 320)
        assert torch.equal(target["labels"], target_2["labels"])
        assert torch.allclose(target["boxes"] * 0.4, target_2["boxes"].as_subclass(torch.Tensor), atol=1.5)
        areas, areas_2 = (t["masks"].as_subclass(torch.Tensor).sum(dim=(1, 2)) for t in (target, target_2))
        assert torch.allclose(areas * 0.16, areas_2.float(), rtol=0.06)


@pytest.mark.photos
def test_photographs_pass_the_checker(photos):
    report = check_dataset(FruitsNuts("all", folder=photos))
    assert report.ok, str(report)
    assert (report.images, report.objects) == (18, 165)


@pytest.mark.photos
def test_the_files_are_the_published_ones(photos):
    check_files(photos)


def test_a_named_folder_without_photographs_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MRCNN_EDU_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="MRCNN_EDU_DATA must name the folder that holds fruits_nuts/"):
        load_dataset("fruits_nuts")
    (tmp_path / "fruits_nuts").mkdir()
    with pytest.raises(FileNotFoundError, match="trainval.json: this file of the data set is missing"):
        load_dataset("fruits_nuts")
    (tmp_path / "fruits_nuts" / "trainval.json").write_text("{}")
    with pytest.raises(ValueError, match="trainval.json: the file differs from the published one"):
        load_dataset("fruits_nuts")


def test_unknown_split():
    with pytest.raises(ValueError, match="split: 'test'"):
        FruitsNuts("test")


def test_every_file_has_its_hash():
    assert sorted(SHA256) == sorted(["trainval.json", *(f"images/{number}.jpg" for number in range(18))])
    assert all(len(value) == 64 for value in SHA256.values())


FILES = {"trainval.json": b'{"a": 1}', "images/0.jpg": b"0" * 5000, "images/1.jpg": b"1" * 7000}
HASHES = {name: hashlib.sha256(body).hexdigest() for name, body in FILES.items()}


@pytest.fixture
def server():
    """A server of FILES. `asked` counts requests; names in `cut` are sent by half; names in `gone` are missing."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/")
            web.asked.append(name)
            if name in web.gone or name not in FILES:
                self.send_error(404)
                return
            body = web.instead.get(name, FILES[name])
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if name in web.cut else body)

        def log_message(self, *args):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.asked, web.cut, web.gone, web.instead = [], set(), set(), {}
    web.url = f"http://127.0.0.1:{web.server_port}/"
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    yield web
    web.shutdown()
    thread.join()
    web.server_close()


def fetch(server, folder):
    return download(folder, server.url, HASHES, progress=False)


def test_download_is_done_once(server, tmp_path):
    for _ in range(2):
        assert fetch(server, tmp_path) == tmp_path
    assert sorted(server.asked) == sorted(FILES)
    assert all((tmp_path / name).read_bytes() == body for name, body in FILES.items())


def test_an_interrupted_download_goes_on_and_half_a_file_never_counts(server, tmp_path):
    server.cut.add("images/1.jpg")
    with pytest.raises(OSError, match=r"images/1.jpg could not be fetched.*call again \(files already here are kept\)"):
        fetch(server, tmp_path)
    assert not (tmp_path / "images/1.jpg").exists()
    assert (tmp_path / "images/0.jpg").read_bytes() == FILES["images/0.jpg"]
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["0.jpg"]
    server.cut.clear(), server.asked.clear()
    fetch(server, tmp_path)
    assert server.asked == ["images/1.jpg"]


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    fetch(server, tmp_path)
    (tmp_path / "images/0.jpg").write_bytes(FILES["images/0.jpg"][:100])
    server.asked.clear()
    fetch(server, tmp_path)
    assert server.asked == ["images/0.jpg"]
    assert (tmp_path / "images/0.jpg").read_bytes() == FILES["images/0.jpg"]


def test_other_content_at_the_address_is_refused(server, tmp_path):
    server.instead["trainval.json"] = b"something else"
    with pytest.raises(OSError, match="trainval.json could not be fetched"):
        fetch(server, tmp_path)
    assert not (tmp_path / "trainval.json").exists()


def test_a_missing_address_is_named(server, tmp_path):
    server.gone.add("images/0.jpg")
    with pytest.raises(OSError, match=server.url + "images/0.jpg could not be fetched.*MRCNN_EDU_DATA"):
        fetch(server, tmp_path)


def test_no_network_says_what_to_do(tmp_path):
    with pytest.raises(OSError, match="connect to a network.*or let MRCNN_EDU_DATA name a folder"):
        download(tmp_path, "http://127.0.0.1:9/", HASHES, progress=False)


@pytest.mark.parametrize("error", [RuntimeError("cut short"), KeyError("content-length"), Exception("of its own")])
def test_whatever_the_downloader_raises_is_told_with_the_address(tmp_path, monkeypatch, error):
    def fail(*given, **named):
        raise error

    monkeypatch.setattr("pooch.retrieve", fail)
    with pytest.raises(OSError, match="http://nowhere/trainval.json could not be fetched"):
        download(tmp_path, "http://nowhere/", {"trainval.json": ""}, progress=False)
