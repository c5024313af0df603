"""Which role and category a model of a furniture catalogue has, by its name there.

Names are those of Sweet Home 3D's catalogues, in lower case. Models under names that are not here, and those of things
that stand in no room of ours (cars, people, gardens), are left out. Where one name means several things, the
catalogue's own category decides (MEANINGS_WITHIN).
"""

from __future__ import annotations

from dataclasses import dataclass

OUTDOORS = ("exterior", "vehicles", "characters", "staircases")  # the catalogue's categories that are never taken


@dataclass(frozen=True)
class Meaning:
    """What a catalogue's name stands for."""

    role: str  # what rooms ask for, see :mod:`sparse3d.rooms.furniture`
    category: str  # a key of :data:`sparse3d.rooms.categories.CATEGORIES`


def _table(lines: str) -> dict[str, Meaning]:
    """Lines of "role, category: name, name, ..."."""
    known: dict[str, Meaning] = {}
    for line in lines.strip().splitlines():
        meaning, names = line.split(":", 1)
        role, category = (part.strip() for part in meaning.split(","))
        for name in names.split(","):
            known[name.strip()] = Meaning(role, category)
    return known


MEANINGS = _table(
    """
    chair, chair: chair, oak chair, cafe chair, folding chair, chair with cushion, osaka chair, plastic chair
    chair, chair: class seat, child chair, children chair, ryokan chair
    armchair, armchair: armchair, winchester armchair, modern armchair, relax chair
    stool, stool: stool, bar stool, bar chair
    bench, bench: bench, piano bench
    ottoman, ottoman: armchair ottoman, puff
    sofa, couch: sofa, couch, corner sofa, futon couch, winchester sofa, clear sofa, sofa 2 seats, sofa 3 seats
    sofa, couch: burlap sofa, convertible sofa bz
    bed, bed: bed, iron bed, child bed, captain's bed, day bed
    bed, bunk bed: bunk bed, mezzanine bed
    night_stand, nightstand: bedside table
    wardrobe, wardrobe: wardrobe
    dresser, dresser: dresser with drawers, dressing table
    bookshelf, bookshelf: bookcase, full bookcase, vertical shelves
    table, dining table: oak table, table with tablecloth, wooden table
    table, dining table: wooden alder table, wooden teak table
    coffee_table, coffee table: coffee table
    desk, desk: desk, desk table, wooden desk
    tv_stand, tv stand: television cabinet, tv stand
    cabinet, cabinet: cupboard
    file_cabinet, file cabinet: filing cabinet
    refrigerator, refrigerator: refrigerator, fridge, large fridge
    stove, stove: large stove
    oven, oven: oven, double oven
    washing_machine, washing machine: washing machine, clothes washing machine
    microwave, microwave: microwave
    coffee_maker, coffee maker: coffee maker, coffee brewer, coffee machine
    kettle, kettle: espresso kettle, teapot
    toilet, toilet: toilets unit
    bathtub, bathtub: bath, corner bathtub, island bath
    trash_can, trash can: dustbin, bullet trash can, recycling bin
    plant, plant: plant, little plant, cactus, decorative plant, orchids, indoor plant, spathiphyllum, yucca
    plant, plant: bonsai tree
    plant, plant: spider plant, succulent plant, white lily, ficus, bamboo, flowers, tulips
    floor_lamp, lamp: pedestal vase lamp
    table_lamp, lamp: desk lamp, little lamp
    ceiling_lamp, ceiling lamp: hanging light, pendant lamp, chandelier lamp, ceiling lamp
    tv, tv: tv, tv 16:9
    laptop, laptop: laptop, apple ibook
    monitor, monitor: apple imac 1998, apple imac 2004
    printer, printer: inkjet printer and scanner
    telephone, telephone: phone, wireless phone
    box, box: cardboard box, open cardboard box, gift
    box, crate: crate
    backpack, backpack: backpack
    bag, bag: handbag
    suitcase, suitcase: suitcase, briefcase, trunck
    basket, basket: shopping basket
    laundry_hamper, laundry hamper: clothes basket
    books, books: book
    paper, paper: newspaper
    cup, cup: coffee cup, coffee mug, plastic cup, cup, glass, beer glass, cocktail glass
    bottle, bottle: wine bottle, beer bottle, spray bottle, bottle, yogurt bottle
    bowl, bowl: bowl, bowl with fruits, bowl with salad
    plate, plate: plate, oval plate
    vase, vase: vase, pottery
    jar, jar: old jar
    candle, candle: candle
    clock, clock: cuckoo clock
    radiator, radiator: radiator
    fan, fan: table fan, rigged fan
    guitar, guitar: electric guitar
    teddy_bear, teddy bear: teddy bear
    shoes, shoes: sneakers, woman shoes, mocassin, slippers
    mat, mat: bathmat, doormat
    coat_rack, coat rack: clothes rack
    """
)
# Names that say little: which they are goes by the catalogue's category, and by nothing else.
MEANINGS_WITHIN = {
    ("office", "armchair"): Meaning("office_chair", "office chair"),
    ("office", "chair"): Meaning("office_chair", "office chair"),
    ("living room", "table"): Meaning("table", "dining table"),
    ("miscellaneous", "box"): Meaning("box", "storage bin"),
}
