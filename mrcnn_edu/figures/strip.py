"""Where we are: the parts of the model as a strip at the top of every lesson."""

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from mrcnn_edu.figures.look import PALETTE, Figure, canvas, in_style

# Name, symbol it hands on, column and row in the strip.
PARTS = (
    ("image", "$I$", 0, 0.0),
    ("backbone", "$F$", 1, 0.0),
    ("proposals", "$\\{R_i\\}$", 2, 0.0),
    ("RoIAlign", "$F_{R_i}$", 3, 0.0),
    ("box head", "$p_i,\\ b_i$", 4, 0.5),
    ("mask head", "$M_i$", 4, -0.5),
    ("loss", "$L$", 5, 0.0),
)
FLOW = ((0, 1), (1, 2), (2, 3), (3, 4), (3, 5), (4, 6), (5, 6))


@in_style
def show_strip(*current: str, caption: str) -> Figure:
    """Where we are in the model: its parts as a strip, those named in `current` filled in. "everything" fills all."""
    names = [name for name, *_ in PARTS]
    for name in current:
        if name not in (*names, "everything"):
            raise ValueError(f"the model's parts are {', '.join(names)}; {name!r} is none of them")
    drawing, axes = canvas(height=1.55)
    place = axes[0, 0]
    place.set(xlim=(-0.5, 5.5), ylim=(-1.02, 1.02))
    place.set_axis_off()
    for start, end in FLOW:
        (x1, y1), (x2, y2) = PARTS[start][2:], PARTS[end][2:]
        style = {"arrowstyle": "-|>", "mutation_scale": 11, "color": PALETTE["faint"], "linewidth": 1.2}
        place.add_patch(FancyArrowPatch((x1 + 0.39, y1), (x2 - 0.39, y2), shrinkA=0, shrinkB=0, **style))
    for name, symbol, x, y in PARTS:
        on = name in current or "everything" in current
        face, edge = (PALETTE["here"], PALETTE["here"]) if on else ("#F3F5F7", PALETTE["faint"])
        ink = "white" if on else PALETTE["ink"]
        shape = FancyBboxPatch((x - 0.33, y - 0.33), 0.66, 0.66, boxstyle="round,pad=0.05,rounding_size=0.1")
        shape.set(facecolor=face, edgecolor=edge, linewidth=1.2)
        place.add_patch(shape)
        place.text(
            x, y + 0.14, name, ha="center", va="center", fontsize=9.5, color=ink, weight="bold" if on else "normal"
        )
        place.text(x, y - 0.18, symbol, ha="center", va="center", fontsize=11, color=ink)
    return Figure(drawing, caption)
