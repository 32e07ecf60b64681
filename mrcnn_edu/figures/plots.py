"""Curves and counts."""

from mrcnn_edu.figures.look import PALETTE, Figure, canvas, in_style


@in_style
def show_curves(
    curves: dict, *, x_label: str, y_label: str, caption: str, title: str = "", kinds: dict | None = None
) -> Figure:
    """Curves {name: (x, y)} in one plot, told apart by colour and line style.

    kinds  {name: key of PALETTE} for curves whose colour means something elsewhere
    """
    drawing, axes = canvas(height=3.2)
    place = axes[0, 0]
    styles = ("-", "--", "-.", ":")
    for number, (name, (x, y)) in enumerate(curves.items()):
        colour = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")[number % 5]
        colour = PALETTE[kinds[name]] if kinds and name in kinds else colour
        place.plot(x, y, color=colour, linestyle=styles[number % 4], linewidth=2, label=name)
    place.set(xlabel=x_label, ylabel=y_label, title=title)
    place.grid(alpha=0.25)
    if len(curves) > 1:
        place.legend(frameon=False)
    return Figure(drawing, caption)


@in_style
def show_counts(counts: dict, *, caption: str, title: str = "", unit: str = "") -> Figure:
    """A bar per name, the number written beside it; a logarithmic axis, so that 20 and 20,000 both show."""
    drawing, axes = canvas(height=0.75 + 0.42 * len(counts))
    place = axes[0, 0]
    names, values = list(counts), list(counts.values())
    place.barh(
        names, [max(v, 0.8) for v in values], color=PALETTE["anchor"], edgecolor=PALETTE["ground truth"], height=0.6
    )
    for row, value in enumerate(values):
        place.text(max(value, 0.8) * 1.12, row, f"{value:,} {unit}".strip(), va="center", fontsize=10)
    place.set(xscale="log", xlim=(0.7, max(values) * 8), title=title)
    decades = [10**power for power in range(len(str(max(values))))]
    place.set_xticks(decades, [f"{decade:,}" for decade in decades])
    place.invert_yaxis()
    place.tick_params(left=False)
    place.minorticks_off()
    return Figure(drawing, caption)
