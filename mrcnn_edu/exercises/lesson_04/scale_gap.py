"""Lesson 04: how far apart two scales may be."""

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def scale_gap(threshold):
    """The largest factor between two scales at which any square between has IoU ≥ threshold with one of the two."""
    return 1 / threshold


SHARP = (0.64,)  # its root is 0.8

SHELF.add(
    Exercise(
        name="scale_gap",
        lesson=4,
        number=5,
        task="How many times as large may the next scale be, if every square object between must be reached?",
        reference=scale_gap,
        probes=(
            Probe(
                lambda threshold: 1 / threshold**0.5,
                SHARP,
                "1.25 is how much larger than an anchor an object may be: 1 / 1.25² = 0.64. But the object has an "
                "anchor on its other side too, and reaches as far towards that one: 1.25 · 1.25.",
            ),
            Probe(
                lambda threshold: 1 / threshold**2,
                SHARP,
                "You compared sides. An object of 1.5625 times the side has 2.44 times the area, so its IoU is 0.41. "
                "IoU compares areas: square the ratio of the sides.",
            ),
            Probe(
                lambda threshold: threshold,
                SHARP,
                "0.64 makes the next scale smaller. The factor from one scale to the next larger one is above 1.",
            ),
            Probe(
                lambda threshold: threshold**0.5,
                SHARP,
                "0.8 makes the next scale smaller, and looks at one anchor only. The factor to the next larger scale "
                "is above 1, and an object between the two may be reached from either side.",
            ),
            Probe(
                lambda threshold: 2 / threshold,
                SHARP,
                "With scales that far apart the square in the middle has IoU 0.32 with both, half of what is asked.",
            ),
            Probe(
                lambda threshold: 2 / (1 + threshold),
                SHARP,
                "You took the object whose side, or area, is the mean of the two. The worst one is where both anchors "
                "overlap it equally: as many times as large as the one as it is smaller than the other. With "
                "sides s and k · s that is s · √k.",
            ),
        ),
        cases=(SHARP, (0.5,), (0.7,), (1.0,)),
        draw=lambda generator: (float(generator.uniform(0.1, 1)),),
        hints=(
            "Of two squares with the same centre the smaller lies in the larger. Their IoU is the ratio of the areas: "
            "(small side / large side)².",
            "Call the scales s and k · s. The worst square is as many times as large as the first as it is smaller "
            "than the second: its side is s · √k.",
            "Its IoU with the first is s² / (s · √k)² = 1 / k. When is that at least the threshold?",
        ),
        reasoning="With s and k · s, the worst object has the side s · √k. Its IoU with either anchor is 1 / k, so k "
        "may be 1 / threshold at most. For 0.7 that is 1.43, about half an octave. Our model's scales are a factor of "
        "2 apart, so a square in the middle between two of them has 0.5. And that is without the price of the grid: "
        "the nearest centre is hardly ever the object's own.",
        checked="thresholds 0.5, 0.64, 0.7 and 1, and 20 random ones",
    )
)
