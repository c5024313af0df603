"""Surfaces of one substance: paint, metal, plastic, ceramic, stone, glass, plaster, leather, rubber, cardboard ..."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.palette import shifted, srgb
from sparse3d.rooms.textures import SIZE, Draw, Look, axes, flat, paint, ramp, shaded, step

HALF = SIZE // 2


def painted(draw: Draw) -> Look:
    """Painted board or sheet: even, with faint brush marks along u and a few scuffs."""
    texture = flat(draw.palette.color(draw.rng, draw.rng.choice([0.0, 0.3, 0.6])), HALF)
    shaded(texture, draw.field("grain", HALF), draw.rng.uniform(0.002, 0.01))
    shaded(texture, draw.field("swell", HALF), 0.012)
    if draw.chance(0.3):
        paint(texture, 0.25 * step(draw.field("cloud", HALF), 1.9, 0.6), draw.palette.wood(draw.rng))
    return Look(texture, draw.rng.uniform(0.6, 0.8), draw.rng.uniform(0.05, 0.6))


def metal(draw: Draw) -> Look:
    """Steel, aluminium, brass, copper, black or enamelled metal; brushed, hammered or smooth."""
    rng, kind = draw.rng, draw.pick(("steel", "dark", "brass", "copper", "enamel"), (0.4, 0.18, 0.1, 0.07, 0.25))
    tone = {
        "steel": (rng.uniform(0.6, 0.9), rng.uniform(0, 0.012), rng.uniform(0, 6.3)),
        "dark": (rng.uniform(0.18, 0.42), rng.uniform(0, 0.02), rng.uniform(0, 6.3)),
        "brass": (rng.uniform(0.6, 0.82), rng.uniform(0.05, 0.1), rng.uniform(1.35, 1.6)),
        "copper": (rng.uniform(0.45, 0.7), rng.uniform(0.05, 0.1), rng.uniform(0.75, 1.05)),
    }
    color = draw.palette.color(rng) if kind == "enamel" else np.array(tone[kind])
    texture = flat(color, HALF)
    finish = draw.pick(("brushed", "hammered", "smooth"), (0.5, 0.1, 0.4))
    if finish == "brushed" and kind != "enamel":
        shaded(texture, draw.field("streak", HALF), rng.uniform(0.03, 0.08))
    elif finish == "hammered":
        shaded(texture, draw.field("pebble", HALF), rng.uniform(0.03, 0.08))
    shaded(texture, draw.field("swell", HALF), rng.uniform(0.01, 0.06))
    return Look(texture, rng.uniform(0.45, 0.65), rng.uniform(0.4, 0.95))


def plastic(draw: Draw) -> Look:
    """Plastic: even, often with a fine grain."""
    texture = flat(draw.palette.color(draw.rng), HALF)
    shaded(texture, draw.field(draw.pick(("fine", "grit", "swell")), HALF), draw.rng.uniform(0.005, 0.03))
    return Look(texture, draw.rng.uniform(0.4, 0.6), draw.rng.uniform(0.1, 0.7))


def ceramic(draw: Draw) -> Look:
    """Glazed ceramic and enamel: often white, as often coloured; the glaze may pool, speckle or crackle."""
    rng = draw.rng
    color = draw.palette.color(rng, rng.choice([0.0, 0.35, 0.8]))
    texture = flat(color, HALF)
    glaze = draw.pick(("plain", "pooled", "speckled", "crackled"), (0.6, 0.18, 0.14, 0.08))
    if glaze == "pooled":
        t = 0.5 + draw.field("cloud", HALF) / 4
        texture = ramp(t, color, shifted(color, rng.choice([-0.12, 0.08]), 1.1, rng.normal(0, 0.2)))
    elif glaze == "speckled":
        paint(texture, 0.6 * step(draw.field("fine", HALF), 1.7, 0.5), shifted(color, -0.35, 0.8))
    elif glaze == "crackled":
        paint(texture, 0.3 * np.clip(1 - 6 * np.abs(draw.field("pebble", HALF)), 0, 1), shifted(color, -0.25))
    shaded(texture, draw.field("swell", HALF), 0.015)
    return Look(texture, rng.uniform(0.45, 0.65), rng.uniform(0.5, 0.95))


def stone(draw: Draw) -> Look:
    """Granite, marble, terrazzo, concrete or slate."""
    rng = draw.rng
    kind = draw.pick(("granite", "marble", "terrazzo", "concrete", "slate"), (0.28, 0.24, 0.2, 0.16, 0.12))
    color = (
        draw.palette.color(rng, rng.choice([0.0, 0.5])) if draw.chance(0.6) else draw.palette.neutrals[rng.integers(4)]
    )
    color = shifted(color, 0.0, rng.uniform(0.3, 0.8))
    other, third = draw.palette.contrast(rng, color), draw.palette.contrast(rng, color, 0.25)
    if kind == "granite":
        texture = flat(color)
        for tone, edge in ((shifted(other, 0, 0.6), 0.5), (shifted(third, 0, 0.4), 1.1), (shifted(color, -0.3), 1.5)):
            grains = draw.field("fine") + 0.5 * draw.field("grit")
            paint(texture, rng.uniform(0.35, 0.85) * step(grains, edge, 0.7), tone)
    elif kind == "marble":
        texture = ramp(0.5 + draw.field("cloud") / 5, shifted(color, -0.05), shifted(color, 0.04))
        for sharp in (4, 9):
            vein = np.clip(1 - sharp * np.abs(draw.field("blotch") + 0.5 * draw.field("cloud")), 0, 1)
            paint(texture, rng.uniform(0.25, 0.7) * vein * step(draw.field("blotch"), 0, 2.5), shifted(other, 0, 0.6))
    elif kind == "terrazzo":
        texture = flat(color)
        for tone in (other, third, draw.palette.color(rng), draw.palette.color(rng)):
            paint(texture, step(draw.field("pebble") + 0.5 * draw.field("grit"), rng.uniform(1.4, 1.9), 0.25), tone)
        shaded(texture, draw.field("fine"), 0.02)
    elif kind == "concrete":
        texture = shaded(shaded(flat(shifted(color, 0, 0.5)), draw.field("cloud"), 0.05), draw.field("fine"), 0.03)
        paint(texture, 0.4 * step(draw.field("grit"), 2.4, 0.3), shifted(color, -0.25))
    else:
        texture = shaded(flat(color), draw.field("rough"), 0.08)
        shaded(texture, draw.field("grain"), 0.06)
    return Look(texture, rng.uniform(1.0, 1.3), rng.uniform(0.1, 0.8))


def glass(draw: Draw) -> Look:
    """Glass that is not seen through: bluish or greenish grey with a soft sheen; now and then smoked or milky."""
    rng = draw.rng
    light = rng.choice([rng.uniform(0.55, 0.85), rng.uniform(0.2, 0.5), rng.uniform(0.85, 0.95)], p=[0.6, 0.2, 0.2])
    color = np.array([light, rng.uniform(0.005, 0.035), rng.uniform(2.6, 4.8)])
    v, u = axes(HALF)
    sheen = np.sin(2 * np.pi * (u + v) + 0.25 * draw.field("swell", HALF))
    texture = ramp(0.5 + 0.5 * sheen, shifted(color, -0.025), shifted(color, 0.03))
    return Look(texture, rng.uniform(0.7, 0.9), rng.uniform(0.7, 1.0))


def plaster(draw: Draw) -> Look:
    """Painted plaster: smooth, rolled, trowelled or rough-cast, mostly light but of any hue."""
    rng = draw.rng
    texture = flat(draw.palette.color(rng, rng.choice([0.0, 0.35, 0.7])))
    kind = draw.pick(("smooth", "rolled", "trowelled", "cast"), (0.35, 0.3, 0.2, 0.15))
    if kind == "rolled":
        shaded(texture, draw.field("grit"), rng.uniform(0.01, 0.025))
    elif kind == "trowelled":
        shaded(texture, draw.field("cloud"), rng.uniform(0.01, 0.03))
        shaded(texture, draw.field("rough"), 0.012)
    elif kind == "cast":
        shaded(texture, draw.field("fine"), rng.uniform(0.015, 0.045))
    shaded(texture, draw.field("blotch"), rng.uniform(0.003, 0.01))
    return Look(texture, rng.uniform(1.2, 1.6), rng.uniform(0.0, 0.1))


def leather(draw: Draw) -> Look:
    """Leather or vinyl: pebbled, with soft folds and worn patches."""
    rng = draw.rng
    color = draw.palette.color(rng) if draw.chance(0.6) else shifted(draw.palette.wood(rng), -0.04)
    texture = ramp(0.5 + draw.field("cloud") / 4, shifted(color, -0.03), shifted(color, 0.03))
    shaded(texture, np.minimum(np.abs(draw.field("grit")), 1.5) - 1.2, rng.uniform(0.03, 0.1))
    creases = np.clip(1 - 7 * np.abs(draw.field("rough") * 0.3 + draw.field("blotch")), 0, 1)
    paint(texture, rng.uniform(0.0, 0.35) * creases, shifted(color, -0.15))
    return Look(texture, rng.uniform(0.8, 1.1), rng.uniform(0.15, 0.5))


def rubber(draw: Draw) -> Look:
    """Rubber and soft plastic: dull, mostly dark, some in the room's colours; speckled or ribbed."""
    rng = draw.rng
    dark = np.array([rng.uniform(0.16, 0.36), rng.uniform(0, 0.02), rng.uniform(0, 6.3)])
    color = dark if draw.chance(0.55) else draw.palette.color(rng)
    texture = shaded(flat(color, HALF), draw.field("fine", HALF), 0.03)
    kind = draw.pick(("plain", "speckled", "ribbed"), (0.6, 0.2, 0.2))
    if kind == "speckled":
        paint(texture, 0.8 * step(draw.field("fine", HALF), 1.6, 0.4), draw.palette.contrast(rng, color))
    elif kind == "ribbed":
        v, _ = axes(HALF)
        shaded(texture, np.sin(2 * np.pi * 32 * v) + 0 * texture[..., 0], 0.12)
    return Look(texture, rng.uniform(0.4, 0.6), rng.uniform(0.0, 0.2))


def cardboard(draw: Draw) -> Look:
    """Cardboard: brown, grey, white or printed in a colour; flutes along v, tape and a label here and there."""
    rng = draw.rng
    brown = np.array([rng.uniform(0.55, 0.78), rng.uniform(0.035, 0.075), rng.uniform(1.05, 1.4)])
    color = brown if draw.chance(0.6) else draw.palette.color(rng)
    texture = shaded(flat(color, HALF), draw.field("fine", HALF), 0.025)
    shaded(texture, draw.field("streak", HALF).T, rng.uniform(0.005, 0.025))
    shaded(texture, draw.field("cloud", HALF), 0.02)
    if draw.chance(0.4):  # a printed label
        row, col, height, width = draw.count(8, 60), draw.count(8, 60), draw.count(12, 30), draw.count(16, 44)
        texture[row : row + height, col : col + width] = srgb(draw.palette.color(rng, 0.6))
        for line in range(row + 4, row + height - 3, 4):
            texture[line, col + 3 : col + width - draw.count(3, 10)] *= 0.55
    if draw.chance(0.35):
        row = draw.count(0, HALF - 12)
        texture[row : row + 11] = 0.6 * texture[row : row + 11] + 0.4 * srgb(shifted(color, 0.1, 0.6))
    return Look(texture, rng.uniform(0.5, 0.6), rng.uniform(0.0, 0.15))


def paper(draw: Draw) -> Look:
    """Paper: blank, printed with lines of text, ruled, or coloured."""
    rng = draw.rng
    color = draw.palette.color(rng, 0.9) if draw.chance(0.65) else draw.palette.color(rng, 0.3)
    texture = shaded(flat(color, HALF), draw.field("cloud", HALF), 0.012)
    if draw.chance(0.55):
        text = np.zeros((HALF, HALF), np.float32)
        for line in range(2, HALF, 4):
            if rng.random() < 0.85:
                text[line, 6 : HALF - draw.count(6, 50)] = rng.uniform(0.5, 0.9)
        text *= step(draw.field("dash", HALF), -0.6, 0.6)
        paint(texture, text * 0.6, shifted(color, -0.6))
    return Look(texture, rng.uniform(0.35, 0.45), rng.uniform(0.0, 0.15))
