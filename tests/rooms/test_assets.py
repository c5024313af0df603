"""Packs of furniture: a tiny pack made here, its model in a piece's frame, what is bad is named."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse3d.errors import InputError
from sparse3d.rooms.asset_categories import MEANINGS, MEANINGS_WITHIN
from sparse3d.rooms.assets import AssetLibrary, meaning_of, read_catalogue
from sparse3d.rooms.categories import CATEGORIES
from sparse3d.rooms.furniture import CONSTRUCTIONS

# A slab with a rest at its back, in a frame with y up and z to the front; the rest stands at z = 0.
OBJ = """mtllib look.mtl
v 0 0 0\nv 4 0 0\nv 4 0 3\nv 0 0 3
v 0 5 0\nv 4 5 0
vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1
g the_seat
usemtl cloth
f 1/1 2/2 3/3 4/4
g the_backrest
usemtl red
f -6 -5 -1 -2
"""
MTL = "newmtl cloth\nKd 1 1 1\nmap_Kd picture.png\nnewmtl red\nKd 0.8 0.1 0.2\nKs 0.3 0.3 0.3\n"


def line(number: int, name: str, model: str, size: str = "40 60 80", **more: str) -> str:
    width, depth, height = size.split()
    fields = {"name": name, "category": "Living room", "model": model, "width": width, "depth": depth, "height": height}
    return "".join(f"{key}#{number}={value}\n" for key, value in {**fields, **more}.items())


def picture() -> bytes:
    """Two rows of four texels, the upper one blue, the lower one green."""
    texels = np.zeros((2, 4, 3), np.uint8)
    texels[0, :, 2] = texels[1, :, 1] = 255
    file = io.BytesIO()
    Image.fromarray(texels).save(file, "PNG")
    return file.getvalue()


def files(catalogue: str) -> dict[str, bytes]:
    return {
        "PluginFurnitureCatalog.properties": catalogue.encode("latin-1"),
        "m/seat.obj": OBJ.encode(),
        "m/look.mtl": MTL.encode(),
        "m/picture.png": picture(),
        "m/broken.obj": b"v 0 0 0\nf 1 2 3\n",
        "m/empty.obj": b"v 0 0 0\n",
        "m/large.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\n" + b"f 1 2 3\n" * 20_001,
    }


def write_pack(path: Path, catalogue: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files(catalogue).items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path / "tiny.sh3f", line(1, "Oak chair", "/m/seat.obj"))


def test_a_model_is_turned_scaled_and_set_into_a_pieces_frame(pack: Path) -> None:
    piece = AssetLibrary(pack.parent).construct("chair", np.random.default_rng(0))
    assert piece is not None and piece.category == "chair"
    low, high = piece.bounds
    np.testing.assert_allclose(low, [-0.2, -0.3, 0], atol=1e-9)
    np.testing.assert_allclose(high, [0.2, 0.3, 0.8], atol=1e-9)
    assert piece.parts == ("back", "seat")
    rest = piece.vertices[piece.faces[piece.face_part == 0]]
    assert rest[..., 1] == pytest.approx(0.3)  # what is at z = 0 in the model is the back, at +y


def test_colours_pictures_and_texture_coordinates_come_along(pack: Path) -> None:
    piece = AssetLibrary(pack).construct("chair", np.random.default_rng(0))
    assert piece is not None
    cloth, red = piece.materials
    np.testing.assert_allclose(red.texture[0, 0], [0.8, 0.1, 0.2], atol=1e-6)
    assert red.gloss == pytest.approx(0.3)
    # Row 0 lies at v = 0, the picture's lower edge, which is green; two rows of four texels are 1 m x 0.5 m.
    np.testing.assert_allclose(cloth.texture[0, 0], [0, 1, 0], atol=1e-6)
    seat = piece.face_part == piece.parts.index("seat")
    np.testing.assert_allclose(piece.uv[seat].reshape(-1, 2).max(axis=0), [1.0, 0.5])


def test_a_turn_of_the_catalogue_comes_first(tmp_path: Path) -> None:
    turned = line(1, "Oak chair", "/m/seat.obj", modelRotation="-1 0 0 0 1 0 0 0 -1")
    piece = AssetLibrary(write_pack(tmp_path / "t.zip", turned)).construct("chair", np.random.default_rng(0))
    assert piece is not None
    rest = piece.vertices[piece.faces[piece.face_part == piece.parts.index("back")]]
    assert rest[..., 1] == pytest.approx(-0.3)


def test_a_folder_is_a_pack_as_well(tmp_path: Path) -> None:
    for name, data in files(line(1, "Sofa", "m/seat.obj")).items():
        (tmp_path / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / name).write_bytes(data)
    library = AssetLibrary(tmp_path)
    assert library.roles() == ("sofa",) and library.construct("sofa", np.random.default_rng(0)) is not None
    assert library.construct("bed", np.random.default_rng(0)) is None


def test_what_is_bad_is_left_out_and_named(tmp_path: Path) -> None:
    models = ("broken", "empty", "large", "absent", "seat")
    catalogue = "".join(line(k, "Table", f"/m/{name}.obj") for k, name in enumerate(models))
    catalogue += line(8, "Table", "/m/seat.obj", size="0 1 1") + line(9, "Sports car", "/m/seat.obj")
    library = AssetLibrary(write_pack(tmp_path / "bad.zip", catalogue))
    made = [library.construct("table", np.random.default_rng(seed)) for seed in range(30)]
    assert all(piece is not None for piece in made)
    assert library.unmapped == {"Sports car": 1}
    reasons = {label.split("#")[1].rstrip(")"): reason for label, reason in library.skipped.items()}
    assert set(reasons) == {"0", "1", "2", "3", "8"}
    assert "not there" in reasons["0"] and "no faces" in reasons["1"] and "20000" in reasons["2"]
    assert "not in the pack" in reasons["3"] and "size" in reasons["8"]


def test_a_pack_with_any_byte_damaged_costs_no_run(tmp_path: Path) -> None:
    """What is compressed fails in many ways: wrong sums, streams that cannot be unpacked, members that are gone."""
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, data in files(line(1, "Sofa", "m/seat.obj")).items():
            if "large" not in name:
                pack.writestr(name, data)
    whole, raised = path.read_bytes(), 0
    for place in range(0, len(whole) - 30, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            library = AssetLibrary(path)
        except InputError:  # nothing of use in it
            continue
        raised += bool(library.construct("sofa", np.random.default_rng(0)) is None and library.skipped)
    assert raised > 5


def test_a_draw_does_not_depend_on_what_was_asked_for_before(tmp_path: Path) -> None:
    catalogue = "".join(
        line(k, "Table", f"/m/{'broken' if k % 2 else 'seat'}.obj", f"{50 + k} 60 70") for k in range(8)
    )
    path = write_pack(tmp_path / "p.zip", catalogue)
    used = AssetLibrary(path)
    for seed in range(20):
        used.construct("table", np.random.default_rng(seed))
    for seed in range(10):
        a, b = (lib.construct("table", np.random.default_rng(seed)) for lib in (used, AssetLibrary(path)))
        assert a is not None and b is not None and a.vertices.tobytes() == b.vertices.tobytes()


def test_no_pack_no_folder_and_no_known_name_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        AssetLibrary(tmp_path / "none")
    with pytest.raises(InputError, match="no furniture pack"):
        AssetLibrary(tmp_path)
    write_pack(tmp_path / "cars.zip", line(1, "Sports car", "/m/seat.obj"))
    with pytest.raises(InputError, match="asset_categories"):
        AssetLibrary(tmp_path)


def test_a_catalogue_is_read_with_its_escapes() -> None:
    table = read_catalogue("# all\nid=x\nname#12=Frame H\\u00f4i \\\n   An\nwidth#12 : 3.5\n")
    assert table == {"12": {"name": "Frame Hôi An", "width": "3.5"}}


def test_names_mean_roles_and_categories_that_exist() -> None:
    for meaning in [*MEANINGS.values(), *MEANINGS_WITHIN.values()]:
        assert meaning.role in CONSTRUCTIONS and meaning.category in CATEGORIES
    office, home = meaning_of("Chair", "Office"), meaning_of("Chair", "Living room")
    assert office is not None and office.role == "office_chair" and home is not None and home.role == "chair"
    assert meaning_of("Chair", "Exterior") is None and meaning_of("Unheard of") is None
