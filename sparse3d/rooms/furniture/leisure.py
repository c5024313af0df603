"""Other things that stand about: fans, globes, candles, guitars, coat racks."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import arc, one_of, tinted, tube
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


@construction("fan")
def cage_fan(rng: np.random.Generator, style: Style) -> Piece:
    """Blades in a round cage, on a table's foot or on a tall stand."""
    build, radius = PieceBuilder("fan"), float(rng.uniform(0.13, 0.21))
    case, blade = style.material(one_of(rng, "plastic", "metal"), rng), style.material("plastic", rng)
    low = float(rng.choice([0.08, rng.uniform(0.7, 1.0)]))
    z = low + radius
    foot = 0.09 if low < 0.2 else 0.2
    build.turned([(0, 0), (foot, 0), (foot, 0.5), (0.03, 1)], case, "base", (0, 0, 0), (0, 0, 0.04), sides=16)
    build.cylinder((0, 0.02, 0.03), (0, 0.04, z), 0.014, case, "stem", sides=8)
    build.cylinder((0, 0.09, z), (0, -0.02, z), (0.035, 0.045), case, "motor", sides=10)
    for angle in np.arange(blades := int(rng.integers(3, 6))) * 2 * np.pi / blades + rng.uniform(0, 1):
        out, side = (np.array([np.cos(a), 0, np.sin(a)]) for a in (angle, angle + np.pi / 2))
        hub, tip = out * 0.03, out * 0.85 * radius
        corners = [hub - side * 0.02, tip - side * 0.3 * radius, tip + side * 0.3 * radius, hub + side * 0.02]
        shift = np.array([[0, -0.03, z], [0, -0.04, z], [0, -0.015, z], [0, -0.02, z]])
        build.quads(
            (np.array(corners) + shift)[None], np.array([[[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1]]]), blade, "blade"
        )
    for y, share in ((-0.06, 0.6), (-0.045, 1.0), (0.0, 1.0)):
        tube(build, arc((0, y, z), share * radius, 0, 2 * np.pi, steps=16), 0.003, case, "cage", sides=4)
    for angle in np.arange(12) * np.pi / 6:
        out = np.array([np.cos(angle), 0, np.sin(angle)])
        steps = ((0, 0.03), (1, 0), (1, -0.045), (0.6, -0.06), (0, -0.062))
        path = [out * share * radius + [0, y, z] for share, y in steps]
        tube(build, path, 0.0025, case, "cage", sides=3)
    return build.build()


@construction("fan")
def tower_fan(rng: np.random.Generator, style: Style) -> Piece:
    """A slim tower with a slatted front."""
    build, height = PieceBuilder("fan"), float(rng.uniform(0.75, 1.05))
    case = tinted(style.material("plastic", rng), float(rng.choice([0.3, 1.0])))
    dark = tinted(case, 0.4)
    build.cylinder((0, 0, 0), (0, 0, 0.03), 0.15, case, "base", sides=18)
    build.turned([(0.085, 0), (0.085, 0.97), (0.07, 1), (0, 1)], case, "case", (0, 0, 0.03), (0, 0, height), sides=14)
    for z in np.arange(0.2, height - 0.12, 0.045):
        build.box((0, -0.075, z), (0.1, 0.03, 0.012), dark, "grille")
    return build.build()


@construction("globe")
def globe(rng: np.random.Generator, style: Style) -> Piece:
    """A ball on a slanting axis in a bow, on a round foot."""
    build, radius = PieceBuilder("globe"), float(rng.uniform(0.1, 0.16))
    wood, ball = style.material(one_of(rng, "wood", "metal", "plastic"), rng), style.material("picture", rng)
    z = radius + 0.1
    build.turned(
        [(0, 0), (0.75 * radius, 0), (0.7 * radius, 0.5), (0.02, 1)], wood, "base", (0, 0, 0), (0, 0, 0.035), 16
    )
    build.cylinder((0, 0, 0.03), (0, 0, z - 1.1 * radius), 0.012, wood, "stem", sides=8)
    build.cushion((0, 0, z), (2 * radius, 2 * radius, 2 * radius), ball, "ball", 1.0, steps=10)
    tilt = 0.41
    tube(build, arc((0, 0, z), 1.12 * radius, -np.pi / 2 - tilt, np.pi / 2 - tilt, steps=10), 0.006, wood, "bow")
    axis = np.array([np.sin(tilt), 0, np.cos(tilt)]) * 1.12 * radius
    build.cylinder(np.array([0, 0, z]) - axis, np.array([0, 0, z]) + axis, 0.004, wood, "axis", sides=5)
    return build.build()


@construction("candle")
def candles(rng: np.random.Generator, style: Style) -> Piece:
    """One to three candles: thick ones on a dish, or a slim one in a stick."""
    build, wax = PieceBuilder("candle"), tinted(style.material("plastic", rng), 1.0, white=float(rng.uniform(0, 0.6)))
    dish, wick = style.material(one_of(rng, "metal", "glass", "ceramic", "wood"), rng), tinted(wax, 0.1)
    if rng.random() < 0.4:
        build.turned([(0, 0), (0.045, 0), (0.01, 0.2), (0.014, 0.5), (0.008, 0.8), (0.018, 1), (0, 1)], dish, "stick",
                     (0, 0, 0), (0, 0, 0.14), sides=12)  # fmt: skip
        spots = [(0.0, 0.0, 0.011, 0.135, 0.2)]
    else:
        count = int(rng.integers(1, 4))
        spread = 0.055 if count > 1 else 0.0
        build.turned([(0, 0), (spread + 0.05, 0), (spread + 0.06, 1), (spread + 0.045, 0.4), (0, 0.4)], dish, "dish",
                     (0, 0, 0), (0, 0, 0.015), sides=16)  # fmt: skip
        angles = np.arange(count) * 2 * np.pi / count
        spots = [(spread * np.cos(a), spread * np.sin(a), rng.uniform(0.025, 0.038), 0.005, rng.uniform(0.06, 0.15))
                 for a in angles]  # fmt: skip
    for x, y, radius, low, tall in spots:
        build.cylinder((x, y, low), (x, y, low + tall), radius, wax, "wax", sides=12)
        build.cylinder((x, y, low + tall), (x, y, low + tall + 0.01), 0.0015, wick, "wick", sides=4)
    return build.build()


@construction("tissue_box")
def tissue_box(rng: np.random.Generator, style: Style) -> Piece:
    """A box with a slot and a tissue standing out of it."""
    cube = rng.random() < 0.35
    x, y, z = (0.12, 0.12, 0.13) if cube else (0.24, 0.12, float(rng.uniform(0.06, 0.09)))
    build, card = PieceBuilder("tissue box"), style.material(one_of(rng, "cardboard", "painted", "picture"), rng)
    white = tinted(style.material("paper", rng), 0.5, white=0.9)
    build.board((-x / 2, -y / 2, 0), (x / 2, y / 2, z), card, "box")
    build.board((-0.25 * x, -0.2 * y, z), (0.25 * x, 0.2 * y, z + 0.001), white, "slot")
    u = np.linspace(-1, 1, 6)
    rows = [np.column_stack([0.04 * u * (1 - 0.5 * t), 0.012 * np.sin(4 * u + 3 * t) + 0.02 * t, z + 0.07 * t
            + 0.012 * np.abs(u) * t]) for t in (0.0, 0.5, 1.0)]  # fmt: skip
    build.sheet(np.stack(rows), white, "tissue")
    return build.build()


def _guitar_outline(scale: float) -> np.ndarray:
    """(40, 2) the body's outline in (x, z): a wide lower and a narrower upper bout."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    z = -np.cos(t)
    half = 0.19 * np.sqrt(np.clip(1 - z**2, 0, 1)) * (1 - 0.18 * z) * (1 - 0.22 * np.exp(-(((z - 0.15) / 0.22) ** 2)))
    return np.stack([half * np.sign(np.sin(t)), 0.25 * z], 1) * scale


@construction("guitar")
def guitar(rng: np.random.Generator, style: Style) -> Piece:
    """A guitar on a small stand."""
    build, s = PieceBuilder("guitar"), float(rng.uniform(0.9, 1.05))
    wood, dark = style.material("wood", rng), tinted(style.material("wood", rng), 0.3)
    electric = rng.random() < 0.3
    if electric:
        wood = style.material("painted", rng)
    thick, middle = (0.045 if electric else 0.1) * s, 0.36 * s
    outline = _guitar_outline(s)
    ring = np.vstack([outline, outline[:1]])
    front, back = (np.column_stack([ring[:, 0], np.full(len(ring), y), ring[:, 1] + middle]) for y in (-thick, 0.0))
    build.strip(front, back, np.arange(len(ring)) * 0.035, 0, thick, dark, "body")
    for flat in (front, back):
        corners = np.vstack([flat[:-1], flat[:-1].mean(axis=0)])
        faces = np.array([[len(ring) - 1, k, (k + 1) % (len(ring) - 1)] for k in range(len(ring) - 1)])
        build.triangles(corners, faces, corners[faces][:, :, [0, 2]] + 1, wood, "body")
    build.cylinder(
        (0, -thick - 0.001, middle + 0.04 * s), (0, -thick + 0.002, middle + 0.04 * s), 0.045 * s, dark, "hole"
    )
    build.board((-0.025, -thick - 0.012, middle + 0.07 * s), (0.025, -thick + 0.012, 0.95 * s), dark, "neck")
    build.board((-0.035, -thick - 0.008, 0.95 * s), (0.035, -thick + 0.008, 1.1 * s), wood, "head")
    build.board((-0.07 * s, -thick - 0.01, middle - 0.1 * s), (0.07 * s, -thick, middle - 0.08 * s), dark, "bridge")
    metal = style.material("metal", rng)
    for side in (-1, 1):
        tube(build, [(side * 0.14, -0.2, 0.008), (side * 0.05, 0.02, 0.2), (0, 0.04, 0.5)], 0.008, metal, "stand")
        tube(build, [(side * 0.07, 0.02, 0.17), (side * 0.07, -thick - 0.03, 0.11)], 0.008, metal, "stand")
    tube(build, [(0, 0.04, 0.5), (0, 0.005, 0.5)], 0.008, metal, "stand")
    tube(build, [(0, 0.04, 0.5), (0, 0.24, 0.008)], 0.008, metal, "stand")
    tube(build, [(-0.075, 0.02, 0.17), (0.075, 0.02, 0.17)], 0.008, metal, "stand")
    return build.build()


@construction("coat_rack")
def coat_stand(rng: np.random.Generator, style: Style) -> Piece:
    """A pole with hooks on three or four feet, often with a coat on it."""
    build, height = PieceBuilder("coat rack"), float(rng.uniform(1.6, 1.85))
    wood = style.material(one_of(rng, "wood", "metal", "painted"), rng)
    build.cylinder((0, 0, 0.08), (0, 0, height), (0.024, 0.018), wood, "pole", sides=10)
    build.cushion((0, 0, height), (0.05, 0.05, 0.05), wood, "pole", 1.0, steps=5)
    for angle in np.arange(feet := int(rng.integers(3, 5))) * 2 * np.pi / feet:
        out = np.array([np.cos(angle), np.sin(angle), 0])
        tube(build, [[0, 0, 0.3], out * 0.14 + [0, 0, 0.12], out * 0.26 + [0, 0, 0.012]], 0.012, wood, "foot")
    for level, angle0 in ((height - 0.06, 0.0), (height - 0.3, 0.6)):
        for angle in angle0 + np.arange(4) * np.pi / 2:
            out = np.array([np.cos(angle), np.sin(angle), 0])
            tube(
                build,
                [[0, 0, level], out * 0.12 + [0, 0, level], out * 0.16 + [0, 0, level + 0.06]],
                0.008,
                wood,
                "hook",
            )
    for k in range(int(rng.integers(0, 3))):
        angle, drop = k * np.pi / 2 + 0.0, rng.uniform(0.6, 0.95)
        out = np.array([np.cos(angle), np.sin(angle), 0]) * 0.14
        shape = [(0, 1), (0.09, 0.97), (0.13, 0.85), (0.12, 0.5), (0.15, 0), (0.12, 0)]
        top = height - 0.03
        build.turned(shape, style.material(one_of(rng, "fabric", "leather"), rng), "coat", out + [0, 0, top - drop],
                     out + [0, 0, top], sides=10)  # fmt: skip
    return build.build()


@construction("coat_rack")
def rail_of_coats(rng: np.random.Generator, style: Style) -> Piece:
    """A free-standing rail with clothes on hangers."""
    width, height = float(rng.uniform(0.8, 1.3)), float(rng.uniform(1.4, 1.65))
    build, metal = PieceBuilder("coat rack"), style.material(one_of(rng, "metal", "wood"), rng)
    for side in (-1, 1):
        x = side * width / 2
        build.cylinder((x, 0, 0.02), (x, 0, height), 0.014, metal, "post", sides=8)
        build.cylinder((x, -0.22, 0.014), (x, 0.22, 0.014), 0.014, metal, "foot", sides=8)
    for z in (height - 0.01, 0.1):
        build.cylinder((-width / 2, 0, z), (width / 2, 0, z), 0.012, metal, "rail", sides=8)
    for k in range(int(rng.integers(2, 8))):
        x, drop = -0.4 * width + 0.09 * k, float(rng.uniform(0.55, 1.0))
        cloth, top = style.material(one_of(rng, "fabric", "leather"), rng), height - 0.1
        ring = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
        cuts = ((0.035, 0.24, drop), (0.03, 0.2, 0.4 * drop), (0.03, 0.22, 0.06), (0.008, 0.05, 0.0))
        rows = [np.column_stack([x + ring[:, 0] * a, ring[:, 1] * b, np.full(5, top - c)]) for a, b, c in cuts]
        build.sheet(np.stack(rows), cloth, "coat")
        tube(build, [(x, 0, top - 0.01), (x, 0, height + 0.005)], 0.004, metal, "hanger", sides=4)
    return build.build()
