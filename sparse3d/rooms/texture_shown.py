"""Surfaces that show something: pictures, screens, the view outside, book spines, leaves.

Pictures, screens and views are wide enough for one object and not made to repeat upwards.
"""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.palette import shifted, srgb
from sparse3d.rooms.texture_pattern import floral
from sparse3d.rooms.textures import SIZE, Draw, Look, axes, flat, paint, ramp, shaded, step, window


def picture(draw: Draw) -> Look:
    """A landscape, an abstract painting, a still life, a photograph in grey or a printed poster."""
    painters = (_landscape, _blocks, _fields, _strokes, _discs, _still_life, _poster)
    texture = painters[draw.count(0, len(painters) - 1)](draw)
    if draw.chance(0.15):  # black and white, warm or cool
        grey = texture.mean(axis=2, keepdims=True)
        texture = grey * np.array([1.0, 0.97, draw.rng.uniform(0.85, 1.02)], np.float32)
    shaded(texture, draw.field("rough"), draw.rng.uniform(0.0, 0.05))
    return Look(texture, draw.rng.uniform(1.25, 1.4), draw.rng.uniform(0.0, 0.5))


def _lively(draw: Draw) -> np.ndarray:
    """A colour for paintings: often stronger than what furniture has."""
    return shifted(draw.palette.color(draw.rng), 0.0, draw.rng.uniform(0.9, 1.9))


def _landscape(draw: Draw) -> np.ndarray:
    rng = draw.rng
    v, _ = axes()
    sky = np.array([rng.uniform(0.7, 0.92), rng.uniform(0.02, 0.09), rng.choice([4.3, 4.0, 1.0, 0.6])])
    texture = ramp(np.clip(v * 1.5, 0, 1) + np.zeros((SIZE, SIZE)), shifted(sky, 0.08, 0.6, 0.5), sky)
    paint(texture, 0.7 * step(draw.field("cloud"), 0.6, 1.5), shifted(sky, 0.12, 0.3))
    horizon = rng.uniform(0.2, 0.55)
    if draw.chance(0.4):
        index, dy, dx = window(SIZE, (SIZE * (horizon + 0.15), SIZE * rng.uniform(0.1, 0.9)), 12)
        texture[index] += step(10 - np.hypot(dx, dy), 0, 2)[..., None] * (
            srgb(np.array([0.93, 0.09, 1.4])) - texture[index]
        )
    ground = np.array([rng.uniform(0.35, 0.6), rng.uniform(0.03, 0.09), rng.uniform(1.2, 2.8)])
    layers = draw.count(3, 5)
    for k in range(layers):
        near = (k + 1) / layers
        ridge = horizon * (1 - 0.75 * near * near) + rng.uniform(0.03, 0.1) * draw.noise.line(rng)[None, :]
        tone = shifted(ground, 0.3 * (1 - near) - 0.05, 0.4 + 0.6 * near, (1 - near) * 1.2)
        mask = step(ridge - v, 0, 0.01)
        paint(texture, mask, tone)
        paint(texture, mask * 0.35 * step(draw.field("rough"), 0, 1.5), shifted(tone, -0.12))
    return texture


def _blocks(draw: Draw) -> np.ndarray:
    """Rectangles cut from one another, with or without lines between."""
    rng = draw.rng
    texture, inks = flat(_lively(draw)), [_lively(draw) for _ in range(4)]
    parts = [(0, SIZE, 0, SIZE)]
    for _ in range(draw.count(8, 26)):
        top, bottom, left, right = parts.pop(
            int(np.argmax([(b - a) * (d - c) * rng.uniform(0.3, 1) for a, b, c, d in parts]))
        )
        share = rng.uniform(0.3, 0.7)
        if bottom - top > right - left:
            cut = int(top + share * (bottom - top))
            parts += [(top, cut, left, right), (cut, bottom, left, right)]
        else:
            cut = int(left + share * (right - left))
            parts += [(top, bottom, left, cut), (top, bottom, cut, right)]
    line = draw.count(0, 2)
    if line:
        texture[:] = srgb(draw.palette.neutrals[rng.integers(4)])
    for top, bottom, left, right in parts:
        texture[top + line : bottom, left + line : right] = srgb(inks[rng.integers(4)])
    return texture


def _fields(draw: Draw) -> np.ndarray:
    """A few broad bands with soft edges."""
    v, _ = axes()
    texture = flat(_lively(draw))
    edges = np.sort(draw.rng.uniform(0, 1, draw.count(3, 8)))
    for edge in edges:
        wave = v + 0.015 * draw.field("cloud") + draw.rng.uniform(0, 0.08) * draw.noise.line(draw.rng)[None, :]
        paint(texture, step(wave, edge, draw.rng.uniform(0.005, 0.06)), _lively(draw))
    return texture


def _strokes(draw: Draw) -> np.ndarray:
    """Paint dragged about: contours of warped noise."""
    texture = flat(_lively(draw))
    for _ in range(draw.count(3, 6)):
        values = draw.field("cloud") + 0.5 * draw.field("blotch")
        paint(texture, step(np.abs(values - draw.rng.uniform(-1, 1)), draw.rng.uniform(0.1, 0.5), -0.2), _lively(draw))
    return texture


def _discs(draw: Draw) -> np.ndarray:
    """Discs and rings on a ground."""
    texture = ramp(0.5 + draw.field("cloud") / 5, ground := _lively(draw), shifted(ground, 0.1))
    for _ in range(draw.count(10, 24)):
        radius = draw.rng.uniform(6, 38)
        index, dy, dx = window(SIZE, tuple(draw.rng.uniform(0, SIZE, 2)), radius)
        reach = np.hypot(dx, dy)
        mask = step(radius - reach, 0.5, 1.0) * (
            step(reach, radius * draw.rng.uniform(0.3, 0.9), 1.5) if draw.chance(0.35) else 1
        )
        texture[index] += (0.9 * mask)[..., None] * (srgb(_lively(draw)) - texture[index])
    return texture


def _still_life(draw: Draw) -> np.ndarray:
    """Flowers, or one large plant, before a ground of two tones."""
    v, _ = axes()
    ground = draw.palette.color(draw.rng)
    texture = flat(ground)
    paint(
        texture,
        step(draw.rng.uniform(0.1, 0.3) - v, 0, 0.02) + np.zeros((SIZE, SIZE)),
        draw.palette.contrast(draw.rng, ground),
    )
    shaded(texture, draw.field("cloud"), 0.08)
    for mask in floral(draw):
        paint(texture, mask, _lively(draw))
    return texture


def _poster(draw: Draw) -> np.ndarray:
    """A ground with blocks of text lines and a coloured figure."""
    rng = draw.rng
    paper, ink = (
        draw.palette.color(rng, 0.6),
        np.array([rng.uniform(0.12, 0.4), rng.uniform(0, 0.08), rng.uniform(0, 6.3)]),
    )
    texture = flat(paper)
    for _ in range(draw.count(2, 5)):
        row, col, height, width = draw.count(4, 180), draw.count(4, 170), draw.count(20, 70), draw.count(24, 80)
        texture[row : row + height, col : col + width] = srgb(_lively(draw))
    words = step(draw.field("dash"), -0.5, 0.4)
    for _ in range(draw.count(3, 6)):
        row, col, width, tall = draw.count(4, 240), draw.count(4, 150), draw.count(40, 100), draw.count(1, 5)
        for line in range(row, min(row + draw.count(1, 8) * (tall + 3), SIZE - tall), tall + 3):
            block = (slice(line, line + tall), slice(col, col + width))
            texture[block] += words[line, col : col + width][None, :, None] * (srgb(ink) - texture[block])
    return texture


def screen(draw: Draw) -> Look:
    """A screen: dark and glossy, or lit with a desktop, a film's frame or a page of text."""
    rng = draw.rng
    extent = rng.uniform(1.25, 1.4)
    if draw.chance(0.4):
        dark = np.array([rng.uniform(0.1, 0.26), rng.uniform(0, 0.015), rng.uniform(3.5, 5)])
        v, u = axes()
        return Look(ramp(step(u + v, 1.0, 1.2) * 0.8, dark, shifted(dark, 0.07)), extent, rng.uniform(0.6, 0.95), 0.0)
    kind = draw.pick(("desktop", "film", "film", "text"))
    if kind == "film":
        return Look((_landscape, _still_life, _fields)[draw.count(0, 2)](draw), extent, 0.3, rng.uniform(0.6, 1.0))
    back = np.array([rng.uniform(0.25, 0.75), rng.uniform(0.02, 0.1), rng.uniform(0, 6.3)])
    texture = ramp(0.5 + draw.field("cloud") / 4, shifted(back, -0.1), shifted(back, 0.1, 1.2, 0.3))
    if kind == "text":
        texture[:] = srgb(np.array([rng.choice([0.16, 0.97]), 0.01, 4.5]))
    for _ in range(draw.count(4, 12)):
        height, width = draw.count(36, 70), draw.count(44, 90)
        _app(draw, texture, draw.count(8, SIZE - height), draw.count(0, SIZE - width), height, width)
    texture[:6] = srgb(shifted(back, -0.25, 0.5))
    texture[1:5, 4 : SIZE - 8 : 9] = srgb(_lively(draw))
    return Look(texture, extent, rng.uniform(0.1, 0.6), rng.uniform(0.7, 1.0))


def _app(draw: Draw, texture: np.ndarray, row: int, col: int, height: int, width: int) -> None:
    """One window of a desktop: a bar on top, lines of text or a picture within."""
    light = draw.chance(0.75)
    texture[row : row + height, col : col + width] = srgb(np.array([0.97 if light else 0.22, 0.005, 4.5]))
    texture[row + height - 4 : row + height, col : col + width] = srgb(_lively(draw))
    if draw.chance(0.25):
        texture[row + 4 : row + height - 8, col + 4 : col + width - 4] = srgb(_lively(draw))
        return
    for line in range(row + 3, min(row + height - 6, SIZE), 3):
        texture[line, col + 3 : col + 3 + int(width * draw.rng.uniform(0.3, 0.9))] = 0.45 if light else 0.7


def outside(draw: Draw) -> Look:
    """The view out of a window, lit: sky over houses or trees, now and then a brick wall or dusk. Repeats along u."""
    rng = draw.rng
    v, u = axes()
    dusk = draw.chance(0.15)
    sky = np.array(
        [rng.uniform(0.35, 0.6) if dusk else rng.uniform(0.8, 0.95), rng.uniform(0.0, 0.07), rng.uniform(3.8, 4.7)]
    )
    glow = np.array([0.75 if dusk else 0.97, rng.uniform(0.0, 0.08 if dusk else 0.02), rng.uniform(0.6, 1.5)])
    texture = ramp(np.clip(v * 1.3 - 0.2, 0, 1) + 0 * u, glow, sky)
    paint(texture, rng.uniform(0.1, 0.8) * step(draw.field("cloud"), 0.3, 1.8), shifted(glow, 0.02, 0.3))
    shade = -0.25 if dusk else 0.0
    if draw.chance(0.55):
        for _ in range(draw.count(2, 5)):
            _house(draw, texture, shade)
    for k in range(draw.count(0, 3)):  # trees and hedges
        crown = rng.uniform(0.12, 0.42) - 0.06 * k + 0.08 * draw.noise.line(rng)[None, :]
        green = np.array([rng.uniform(0.42, 0.68) + shade, rng.uniform(0.03, 0.09), rng.uniform(1.5, 2.6)])
        leaves = draw.field("pebble") + 0.5 * draw.field("grit")
        mask = step(crown + 0.015 * leaves + 0.03 * draw.field("blotch") - v, 0, 0.02)
        paint(texture, mask, green)
        paint(texture, mask * 0.6 * step(leaves, 0.8, 2.5), shifted(green, 0.12))
        paint(texture, mask * 0.6 * step(draw.field("blotch"), 0.3, 2.0), shifted(green, -0.12))
    street = np.array([rng.uniform(0.5, 0.75) + shade, rng.uniform(0.0, 0.07), rng.uniform(0.8, 2.4)])
    paint(texture, step(rng.uniform(0.03, 0.12) - v, 0, 0.01) + 0 * u, street)
    return Look(texture, rng.uniform(2.4, 3.0), 0.0, 1.0)


def _house(draw: Draw, texture: np.ndarray, shade: float) -> None:
    """A front with rows of windows, the left part of a wide one wrapped round."""
    rng = draw.rng
    width, height, left = draw.count(40, 100), draw.count(60, 200), draw.count(0, SIZE - 1)
    wall = shifted(np.array([rng.uniform(0.5, 0.85), rng.uniform(0.0, 0.07), rng.uniform(0.5, 1.8)]), shade)
    front = flat(wall, width, height)
    pitch, tall = draw.count(14, 24), draw.count(20, 30)
    pane = srgb(shifted(wall, rng.choice([-0.35, -0.2, 0.12]) - shade * 1.5, 0.5))
    y, x = np.arange(height) % tall, np.arange(width) % pitch
    hole = ((y > tall * 0.35) & (y < tall * 0.85))[:, None] & ((x > pitch * 0.3) & (x < pitch * 0.8))[None, :]
    front[hole] = pane
    texture[:height, (left + np.arange(width)) % SIZE] = front


def books(draw: Draw) -> Look:
    """Spines along u with bands and titles; a row of books is 0.3 m high in the texture."""
    rng, rows = draw.rng, 64
    extent = rng.uniform(1.1, 1.25)
    v, _ = axes(rows)
    edges = np.concatenate([[0], np.cumsum(rng.integers(3, 12, 64))])
    edges = np.concatenate([edges[edges < SIZE - 2], [SIZE]])
    texture = np.empty((rows, SIZE, 3), np.float32)
    inks: list[np.ndarray] = []
    for left, right in zip(edges, edges[1:], strict=False):
        color = inks[-1] if inks and draw.chance(0.25) else shifted(
            draw.palette.color(rng), rng.normal(-0.04, 0.08), rng.uniform(0.7, 1.4), rng.normal(0, 0.3)
        )  # fmt: skip
        inks.append(color)
        across = (np.arange(left, right) - left + 0.5) / (right - left)
        light = (1 - 1.1 * (across - 0.45) ** 2).astype(np.float32)
        light[0] *= 0.55
        spine = np.broadcast_to(srgb(color), (rows, right - left, 3)) * light[None, :, None]
        mark = 0.35 * srgb(color) + 0.65 * srgb(draw.palette.contrast(rng, color, 0.3))
        for place in rng.uniform(0.05, 0.9, draw.count(0, 2)):
            spine[int(place * rows) : int(place * rows) + draw.count(1, 5), 1:] = mark
        if right - left > 4 and draw.chance(0.55):  # the title, read along the spine
            low, high, middle = draw.count(14, 24), draw.count(34, 50), (right - left) // 2
            words = rng.random(high - low) < 0.75
            spine[low:high, middle : middle + 2][words] = mark
        texture[:, left:right] = spine
    return Look(texture, extent, rng.uniform(0.0, 0.25))


def leaf(draw: Draw) -> Look:
    """Foliage: greens from yellow to blue, also red or grey ones and autumn's; veined, variegated or plain."""
    rng, size = draw.rng, SIZE // 2
    hue = rng.uniform(1.7, 2.7) if draw.chance(0.82) else rng.uniform(0.2, 1.7)
    color = np.array([rng.uniform(0.32, 0.72), rng.uniform(0.03, 0.13), hue])
    texture = ramp(0.5 + draw.field("cloud", size) / 4, shifted(color, -0.1), shifted(color, 0.1, 1.0, -0.1))
    kind = draw.pick(("plain", "veined", "variegated"))
    if kind == "veined":
        v, u = axes(size)
        rib = np.abs(((u * 8 + 2 * np.abs((v * 8) % 1 - 0.5)) * 2) % 1 - 0.5)
        paint(texture, 0.35 * (1 - step(rib, 0.12, 0.15)), shifted(color, 0.15, 0.8))
    elif kind == "variegated":
        paint(
            texture,
            0.7 * step(draw.field("pebble", size) + draw.field("blotch", size), 0.8, 0.6),
            shifted(color, 0.25, 0.5),
        )
    return Look(texture, rng.uniform(0.34, 0.45), rng.uniform(0.05, 0.5))
