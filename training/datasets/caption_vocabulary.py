"""The words that captions of shoes are read by, in English and Portuguese: canonical name → what people write.

Names are the starter's where it has them (`shoesai/starter/draw.py`). Words are as `caption_words.words_of` makes
them: small letters, no accents, no hyphens.
"""

from __future__ import annotations

from typing import Final

Names = dict[str, tuple[str, ...]]


def _gendered(*stems: str) -> tuple[str, ...]:
    """`pret` → preto, preta, pretos, pretas."""
    return tuple(stem + ending for stem in stems for ending in ("o", "a", "os", "as"))


COLOURS: Final[Names] = {
    "black": ("black", "jet black", "matte black", *_gendered("pret", "negr")),
    "white": ("white", "snow white", "pure white", "optic white", *_gendered("branc")),
    "grey": ("grey", "gray", "charcoal", "graphite", "anthracite", "slate", "cinza", "cinzas", "grafite", "chumbo"),
    "red": ("red", "crimson", "scarlet", "cherry red", "cherry", *_gendered("vermelh")),
    "orange": ("orange", "burnt orange", "rust", "coral", "laranja", "laranjas", "ferrugem"),
    "yellow": ("yellow", "mustard", "lemon", *_gendered("amarel"), "mostarda"),
    "green": ("green", "mint", "mint green", "lime", "emerald", "sage", "verde", "verdes", "menta"),
    "olive": ("olive", "olive green", "khaki", "army green", "military green", "verde oliva", "verde militar", "caqui"),
    "teal": ("teal", "turquoise", "aqua", "cyan", "petrol", "turquesa", "ciano", "verde agua", "petroleo"),
    "blue": ("blue", "sky blue", "royal blue", "baby blue", "cobalt", "azul", "azuis", "azul claro", "azul bebe"),
    "navy": ("navy", "navy blue", "midnight blue", "azul marinho", "marinho"),
    "purple": (
        "purple", "violet", "lilac", "lavender", "mauve", "plum", *_gendered("rox"), "lilas", "violeta", "lavanda",
    ),
    "pink": ("pink", "hot pink", "rose", "blush", "fuchsia", "magenta", "salmon", "rosa", "rosas", "fucsia", "salmao"),
    "burgundy": ("burgundy", "maroon", "wine", "wine red", "oxblood", "bordeaux", "bordo", "vinho", "marsala"),
    "brown": (
        "brown", "chocolate", "chestnut", "coffee", "mahogany", "bronze", "marrom", "marrons", *_gendered("castanh"),
        "cafe",
    ),
    "tan": ("tan", "cognac", "camel", "caramel", "whisky", "caramelo", "conhaque", "camelo", "telha"),
    "beige": ("beige", "nude", "sand", "taupe", "stone", "bege", "beges", "areia"),
    "cream": ("cream", "ivory", "off white", "bone", "ecru", "creme", "marfim"),
    "gold": ("gold", "golden", "rose gold", *_gendered("dourad"), "ouro"),
    "silver": ("silver", "prata", *_gendered("pratead")),
    "multicolour": (
        "multicolour", "multicolor", "multi colour", "multi color", "multicoloured", "multicolored", "rainbow",
        "colourful", "colorful", *_gendered("colorid"), "multicores",
    ),
}  # fmt: skip

MATERIALS: Final[Names] = {
    "leather": ("leather", "full grain leather", "calfskin", "nappa", "couro", "couro legitimo", "pelica"),
    "patent leather": ("patent leather", "patent", "verniz", "couro envernizado"),
    "synthetic": (
        "synthetic", "faux leather", "vegan leather", "synthetic leather", "imitation leather", "pu leather",
        *_gendered("sintetic"), "couro sintetico", "couro ecologico", "courino", "napa sintetica",
    ),
    "suede": ("suede", "suede leather", "velour", "camurca"),
    "nubuck": ("nubuck", "nubuk", "nobuck", "nobuk"),
    "canvas": ("canvas", "lona", "lona de algodao"),
    "mesh": ("mesh", "tela", "mesh fabric"),
    "knit": ("knit", "knitted", "flyknit", "primeknit", "malha", "trico", "knit fabric"),
    "denim": ("denim", "jeans"),
    "satin": ("satin", "silk", "cetim", "seda"),
    "velvet": ("velvet", "veludo"),
    "wool": ("wool", "felt", "shearling", "feltro"),
    "textile": ("textile", "fabric", "cotton", "cloth", "linen", "nylon", "polyester", "tecido", "algodao", "linho"),
    "rubber": ("rubber", "eva", "foam", "plastic", "pvc", "borracha", "plastico"),
    "straw": ("straw", "raffia", "jute", "cork", "palha", "rafia", "juta", "cortica"),
}  # fmt: skip

TYPES: Final[Names] = {
    "sneakers": (
        "sneaker", "sneakers", "trainer", "trainers", "tennis shoe", "tennis shoes", "low top", "low tops",
        "low top sneaker", "low top sneakers", "skate shoe", "skate shoes", "tenis", "sapatenis",
    ),
    "high-tops": (
        "high top", "high tops", "hi top", "hi tops", "high top sneaker", "high top sneakers", "tenis cano alto",
        "tenis de cano alto", "mid top", "mid tops", "basketball shoe", "basketball shoes", "tenis de basquete",
    ),
    "running shoes": (
        "running shoe", "running shoes", "runner", "runners", "jogging shoe", "jogging shoes", "running sneaker",
        "running sneakers", "running trainers", "tenis de corrida", "tenis corrida", "tenis para corrida",
    ),
    "slip-ons": (
        "slip on", "slip ons", "slip on shoe", "slip on shoes", "slip on sneaker", "slip on sneakers", "iate",
        "sapato iate",
    ),
    "loafers": (
        "loafer", "loafers", "moccasin", "moccasins", "boat shoe", "boat shoes", "mocassim", "mocassins", "driver",
        "drivers", "driving shoe", "driving shoes",
    ),
    "oxfords": (
        "oxford", "oxfords", "oxford shoe", "oxford shoes", "brogue", "brogues", "derby", "derbies", "derbys",
        "derby shoe", "derby shoes", "dress shoe", "dress shoes", "sapato social", "sapatos sociais", "monk strap",
        "monk straps", "sapato oxford", "sapatos oxford",
    ),
    "ankle boots": (
        "ankle boot", "ankle boots", "chelsea boot", "chelsea boots", "chukka", "chukkas", "chukka boot",
        "chukka boots", "desert boot", "desert boots", "bootie", "booties", "bota cano curto", "botas cano curto",
        "bota de cano curto", "botas de cano curto", "botinha", "botinhas", "ankle bota", "bota chelsea", "botina",
        "botinas",
    ),
    "boots": (
        "boot", "boots", "knee boots", "knee high boots", "hiking boot", "hiking boots", "combat boot",
        "combat boots", "work boot", "work boots", "cowboy boots", "bota", "botas", "coturno", "coturnos",
    ),
    "sandals": (
        "sandal", "sandals", "slide sandal", "slide sandals", "huarache", "huaraches", "sandalia", "sandalias",
        "rasteirinha", "rasteirinhas", "rasteira", "rasteiras", "papete", "papetes",
    ),
    "flip-flops": (
        "flip flop", "flip flops", "slides", "pool slide", "pool slides", "slipper", "slippers", "chinelo",
        "chinelos", "pantufa", "pantufas",
    ),
    "heels": (
        "heels", "high heels", "high heel", "stiletto", "stilettos", "pumps", "pump shoe", "pump shoes", "court shoe",
        "court shoes", "wedges", "scarpin", "scarpins", "salto alto", "sapato de salto", "sapatos de salto",
        "anabela", "anabelas",
    ),
    "flats": (
        "flats", "ballet flat", "ballet flats", "ballerina", "ballerinas", "mary jane", "mary janes", "sapatilha",
        "sapatilhas",
    ),
    "mules": ("mule", "mules", "clog", "clogs", "tamanco", "tamancos", "babuche", "babuches"),
    "espadrilles": ("espadrille", "espadrilles", "alpargata", "alpargatas"),
}  # fmt: skip

VIEWS: Final[Names] = {
    "side": (
        "side view", "side profile", "side on", "side shot", "side angle", "lateral view", "lateral profile",
        "profile view", "in profile", "from the side", "seen from the side", "left view", "right view", "medial view",
        "vista lateral", "visto de lado", "vista de lado", "de lado", "de perfil", "lateral",
    ),
    "three-quarter": (
        "three quarter", "three quarters", "three quarter view", "three quarter angle", "angled view", "angle view",
        "diagonal view", "tres quartos", "vista tres quartos", "vista diagonal", "em diagonal",
    ),
    "front": (
        "front view", "frontal view", "frontal", "front shot", "from the front", "seen from the front", "head on",
        "vista frontal", "vista de frente", "visto de frente", "de frente",
    ),
    "back": (
        "back view", "rear view", "heel view", "from behind", "from the back", "from the rear", "vista traseira",
        "vista de tras", "visto de tras", "de tras", "de costas",
    ),
    "top": (
        "top view", "top down", "top down view", "from above", "overhead", "overhead view", "bird s eye view",
        "birds eye view", "flat lay", "flatlay", "vista superior", "vista de cima", "visto de cima", "de cima",
    ),
    "bottom": (
        "bottom view", "sole view", "outsole view", "from below", "underside", "vista inferior", "vista de baixo",
        "visto de baixo", "de baixo", "vista da sola",
    ),
    "close-up": ("close up", "closeup", "macro", "detail shot", "detail view", "em detalhe"),
}  # fmt: skip

BACKDROPS: Final[Names] = {
    "sky blue": ("sky blue", "azul celeste", "azul ceu"),
    "mint": ("mint", "mint green", "menta", "verde menta"),
    "lavender": ("lavender", "lavanda"),
    "slate": ("slate", "slate grey", "slate gray", "ardosia"),
    "transparent": ("transparent", "transparente"),
    "wood": ("wood", "wooden", "madeira"),
    "studio": ("studio", "estudio"),
    "outdoor": ("outdoor", "outdoors", "street", "nature", "externo", "rua"),
}
"""What a background can be beside a colour."""

BACKGROUND_BEFORE: Final = ("background", "backgrounds", "backdrop", "bg", "surface", "floor", "wall")
BACKGROUND_AFTER: Final = ("fundo", "fundos")
"""English says the colour before the noun, Portuguese after it."""

PARTS_BEFORE: Final = (
    "sole", "soles", "soled", "outsole", "outsoles", "midsole", "midsoles", "bottom", "bottoms", "lace", "laces",
    "laced", "shoelace", "shoelaces", "lining", "logo", "logos", "stripe", "stripes", "striped", "accent", "accents",
    "detail", "details", "detailing", "trim", "stitching", "stitches", "seams", "tongue", "tab", "cap", "swoosh",
    "buckle", "buckles", "eyelets", "sock", "socks", "insole", "heel", "piping", "zip", "zipper", "tassel", "tassels",
    "tread", "shadow", "shadows", "lighting", "box", "lettering",
)  # fmt: skip
PARTS_AFTER: Final = (
    "sola", "solas", "solado", "solados", "entressola", "cadarco", "cadarcos", "forro", "logotipo", "listra",
    "listras", "detalhe", "detalhes", "costura", "costuras", "fivela", "fivelas", "palmilha", "lingua", "biqueira",
    "salto", "saltos", "ziper", "sombra", "sombras", "luz", "meia", "meias",
)  # fmt: skip
"""What has a colour or a material of its own that is not the shoe's."""

MODIFIERS: Final = frozenset(
    (
        "light", "dark", "deep", "pale", "bright", "soft", "pure", "plain", "clean", "solid", "neutral", "seamless",
        "simple", "smooth", "flat", "matte", "shiny", "glossy", "vivid", "pastel", "neon", "thick", "chunky", "thin",
        "and", "with", "textured", "metallic", "contrasting", "contrast", "toe", "heel", "translucent",
        "infinite", "cyclorama",
        "claro", "clara", "claros", "claras", "escuro", "escura", "escuros", "escuras", "liso", "lisa", "puro", "pura",
        "neutro", "infinito", "cor", "de", "em", "e", "com", "totalmente", "completely", "gradient", "colour", "color",
    )
)  # fmt: skip
"""What may stand between a colour and the noun that it belongs to."""

SHADES: Final[dict[str, tuple[tuple[int, int, int], ...]]] = {
    "black": ((34, 33, 36), (15, 15, 16), (60, 58, 60)),
    "white": ((236, 235, 232), (252, 252, 252), (205, 205, 205)),
    "grey": ((136, 139, 143), (90, 92, 96), (185, 187, 190)),
    "red": ((200, 32, 38), (150, 20, 28), (228, 70, 70)),
    "orange": ((240, 126, 28), (205, 92, 40), (250, 150, 90)),
    "yellow": ((246, 210, 52), (214, 170, 40), (250, 232, 130)),
    "green": ((42, 138, 66), (20, 80, 45), (150, 205, 160), (120, 180, 60)),
    "olive": ((96, 100, 50), (130, 125, 80), (150, 142, 100)),
    "teal": ((20, 158, 160), (20, 100, 105), (90, 205, 205)),
    "blue": ((36, 92, 204), (30, 60, 140), (120, 170, 230), (60, 130, 190)),
    "navy": ((28, 36, 74), (40, 52, 100), (20, 24, 48)),
    "purple": ((118, 52, 160), (80, 40, 110), (180, 150, 220), (160, 100, 190)),
    "pink": ((240, 122, 172), (250, 190, 205), (220, 60, 130), (235, 150, 140)),
    "burgundy": ((110, 24, 42), (80, 22, 36), (135, 40, 60)),
    "brown": ((112, 66, 38), (75, 48, 34), (145, 95, 60)),
    "tan": ((176, 120, 72), (200, 150, 100), (160, 95, 50)),
    "beige": ((214, 190, 150), (225, 205, 180), (185, 165, 140)),
    "cream": ((242, 232, 210), (250, 244, 228), (225, 215, 195)),
    "gold": ((200, 160, 70), (225, 195, 120), (165, 125, 60), (215, 165, 145)),
    "silver": ((190, 192, 196), (150, 152, 158), (220, 222, 225)),
}
"""What people call so under studio light; `multicolour` has none."""
