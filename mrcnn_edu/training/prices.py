"""What each mistake costs, measured and written to data/prices.json.

`python -m mrcnn_edu.training.prices` measures all mistakes, switched on in the model that ships, and
`python -m mrcnn_edu.training.prices --trained round_roi=runs/round_roi/model.safetensors` a model that was trained with
one. Each figure is what the command beside it in the file prints.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
from pathlib import Path

from ..mistakes import KINDS, MISTAKES, PRICES_FILE, read_prices

ALL_SCENES = 500  # of the validation split
METRICS = ("AP", "AP75")


def measure(mistake: str, scenes: int, weights: str | None = None, sound: dict | None = None) -> dict:
    """The price of one mistake: AP of the sound model and with the mistake on.

    scenes   how many of the validation scenes
    weights  a file of weights that were trained with the mistake; None takes the lesson weights
    sound    AP of the sound model, if it is known already
    returns  sound, broken, scenes, commands and date, as `Mistake.prices` describes them
    """
    command = evaluation(scenes, mistake, weights)
    training = [] if weights is None else [f"python -m mrcnn_edu {' '.join(training_command(mistake, weights))}"]
    return {
        "sound": sound or scores(evaluation(scenes)),
        "broken": scores(command),
        "scenes": scenes,
        "commands": [*training, f"python -m mrcnn_edu {' '.join(command)}"],
        "date": datetime.date.today().isoformat(),
    }


def evaluation(scenes: int, mistake: str | None = None, weights: str | None = None) -> list[str]:
    """The arguments of `python -m mrcnn_edu` that evaluate the lesson weights or others, sound or with a mistake."""
    return [
        *("evaluate", "--data", "shapes"),
        *(() if weights is None else ("--weights", str(weights))),
        *(() if mistake is None else ("--mistake", mistake)),
        *(() if scenes == ALL_SCENES else ("--limit", str(scenes))),
        "--json",
    ]


def training_command(mistake: str, weights: str) -> list[str]:
    """The arguments of `python -m mrcnn_edu` that made such weights: those of the lesson weights, with the mistake."""
    return ["train", "--data", "shapes", "--seed", "0", "--mistake", mistake, "--out", Path(weights).parent.as_posix()]


def scores(command: list[str]) -> dict[str, dict[str, float]]:
    """AP and AP75 of boxes and masks that the command prints, rounded to four places.

    raises   RuntimeError with what the command said, where it failed
    """
    done = subprocess.run([sys.executable, "-m", "mrcnn_edu", *command], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"python -m mrcnn_edu {' '.join(command)} failed: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    return {kind: {name: round(found[kind][name], 4) for name in METRICS} for kind in ("bbox", "segm")}


def write(mistake: str, kind: str, price: dict, path: Path) -> None:
    """Put one price into the file; the others stay."""
    prices = read_prices(path)
    prices.setdefault(mistake, {})[kind] = price
    ordered = {
        name: {kind: prices[name][kind] for kind in KINDS if kind in prices[name]}
        for name in MISTAKES
        if name in prices
    }
    path.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")


def _trained(text: str) -> tuple[str, str]:
    name, equals, weights = text.partition("=")
    if not equals or name not in MISTAKES:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE with one of {', '.join(MISTAKES)}")
    return name, weights


def main(arguments: list[str] | None = None) -> None:
    """The command line: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m mrcnn_edu.training.prices", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"mistakes to switch on: {', '.join(MISTAKES)}")
    parser.add_argument("--trained", type=_trained, action="append", default=[], metavar="NAME=FILE",
                        help="weights that were trained with a mistake")  # fmt: skip
    parser.add_argument("--scenes", type=int, default=ALL_SCENES, help="validation scenes (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=PRICES_FILE, help="file to write (default: data/prices.json)")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(MISTAKES)
    if unknown:
        parser.error(f"no mistake is called {', '.join(sorted(unknown))}; there are {', '.join(MISTAKES)}")
    names = options.names or ([] if options.trained else list(MISTAKES))
    wanted = [(name, None) for name in names if not MISTAKES[name].only_training] + options.trained
    sound = scores(evaluation(options.scenes)) if wanted else None
    for name, weights in wanted:
        kind = "switched_on" if weights is None else "trained"
        price = measure(name, options.scenes, weights, sound)
        write(name, kind, price, options.out)
        fall = {group: f"{price['sound'][group]['AP']} → {price['broken'][group]['AP']}" for group in ("segm", "bbox")}
        print(f"{name}, {KINDS[kind]}: mask AP {fall['segm']}, box AP {fall['bbox']}", flush=True)


if __name__ == "__main__":
    main()
