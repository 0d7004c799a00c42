"""What a footwear studio often writes into a prompt: offered while typing, behind people's own words and captions.

In English in every language of the portal, because that is what the models read. One phrase a line, by topic.
"""

from __future__ import annotations

TOPICS = {
    "type": """
        sneakers
        high-top sneakers
        low-top sneakers
        running shoes
        trail running shoes
        basketball shoes
        skate shoes
        slip-ons
        loafers
        penny loafers
        tassel loafers
        oxfords
        derby shoes
        brogues
        monk strap shoes
        boat shoes
        moccasins
        ankle boots
        chelsea boots
        chukka boots
        desert boots
        hiking boots
        work boots
        combat boots
        rain boots
        ballet flats
        pumps
        stiletto heels
        block heels
        wedges
        mules
        clogs
        espadrilles
        sandals
        gladiator sandals
        flip-flops
        slides
        """,
    "material": """
        full-grain leather
        patent leather
        nubuck
        suede
        canvas
        knitted mesh
        recycled mesh
        denim
        velvet
        satin
        quilted nylon
        woven raffia
        cork
        rubber
        brushed metal buckle
        tone-on-tone stitching
        contrast stitching
        perforated toe cap
        reflective details
        waxed laces
        """,
    "sole": """
        white sole
        black sole
        gum sole
        cream sole
        chunky sole
        platform sole
        crepe sole
        lug sole
        transparent sole
        leather sole with stacked heel
        """,
    "view": """
        side view
        three-quarter view
        front view
        heel view
        top-down view
        sole view
        close-up of the stitching
        pair of shoes
        single shoe
        facing left
        facing right
        """,
    "background": """
        on white background
        pure white seamless background
        on light grey background
        on beige background
        floating, soft shadow
        soft contact shadow
        no shadow
        reflection on acrylic
        on polished concrete
        on a wooden floor
        """,
    "light": """
        product photography
        professional product photo
        catalogue photo
        studio lighting
        softbox lighting
        even lighting
        rim light
        sharp focus
        high detail
        centred composition
        """,
}

NEGATIVE = """
    blurry
    low quality
    jpeg artefacts
    noise
    overexposed
    underexposed
    colour cast
    coloured background
    cluttered background
    harsh shadow
    text
    watermark
    logo
    brand name
    frame
    cropped
    cut off
    out of frame
    deformed
    distorted shape
    extra laces
    missing laces
    mismatched pair
    two left shoes
    extra shoe
    feet
    legs
    person
    hands
    worn out
    dirty
    creases
    drawing
    cartoon
    3d render
    """


# For an empty page.
IDEAS = (
    "red leather sneakers with a white sole, side view, on white background",
    "brown suede ankle boots, three-quarter view, product photography",
    "{black|white|navy} canvas high-tops with a gum sole, side view",
)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


PROMPT_PHRASES = tuple(phrase for topic in TOPICS.values() for phrase in _lines(topic))
NEGATIVE_PHRASES = _lines(NEGATIVE)
