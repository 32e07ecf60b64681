"""The picture of an explorer: an anywidget canvas that hands clicks, keys and dragged boxes to Python.

Where anywidget is missing the picture is a plain image, and the sliders alone carry the explorer.
"""

import ipywidgets
import traitlets

try:
    import anywidget
except ImportError:
    anywidget = None

MODULE = """
const NS = "http://www.w3.org/2000/svg";

function render({ model, el }) {
  const root = document.createElement("div");
  root.className = "mrcnn-canvas";
  root.tabIndex = 0;
  root.setAttribute("role", "application");
  const img = document.createElement("img");
  img.draggable = false;
  const svg = document.createElementNS(NS, "svg");
  root.append(img, svg);
  el.append(root);

  let count = 0;
  let held = null;
  let pending = null;
  let frame = 0;

  function send(event) {
    pending = { ...event, count: ++count };
    if (!frame) frame = requestAnimationFrame(() => {
      frame = 0;
      model.set("event", pending);
      model.save_changes();
    });
  }
  function at(event) {
    const r = root.getBoundingClientRect();
    return [(event.clientX - r.left) * model.get("width") / r.width,
            (event.clientY - r.top) * model.get("height") / r.height];
  }
  function picture() {
    const old = img.src;
    img.src = URL.createObjectURL(new Blob([model.get("value")], { type: "image/jpeg" }));
    if (old) URL.revokeObjectURL(old);
  }
  function words() {
    img.alt = model.get("alt");
    root.setAttribute("aria-label", model.get("alt"));
  }
  function size() {
    root.style.width = model.get("width") + "px";
    root.style.aspectRatio = model.get("width") + " / " + model.get("height");
    svg.setAttribute("viewBox", `0 0 ${model.get("width")} ${model.get("height")}`);
  }
  function boxes() {
    svg.replaceChildren(...model.get("boxes").map((b) => {
      const [x1, y1, x2, y2] = b.box;
      const rect = document.createElementNS(NS, "rect");
      const place = { x: Math.min(x1, x2), y: Math.min(y1, y2), width: Math.abs(x2 - x1), height: Math.abs(y2 - y1),
                      stroke: b.colour, "stroke-dasharray": b.dash || "none" };
      for (const [key, value] of Object.entries(place)) rect.setAttribute(key, value);
      return rect;
    }));
  }
  function grip([x, y]) {
    for (const b of [...model.get("boxes")].reverse()) {
      const [x1, y1, x2, y2] = b.box, reach = 9;
      if (x < x1 - reach || x > x2 + reach || y < y1 - reach || y > y2 + reach) continue;
      const sides = b.box.map((v, i) => Math.abs((i % 2 ? y : x) - v) < reach);
      return { id: b.id, start: b.box, from: [x, y], sides: sides.some(Boolean) ? sides : [true, true, true, true] };
    }
    return null;
  }
  function pull(by, sides, start, id, kind) {
    const box = start.map((v, i) => v + (sides[i] ? by[i % 2] : 0));
    model.set("boxes", model.get("boxes").map((b) => b.id === id ? { ...b, box } : b));
    boxes();
    send({ kind, id, box });
  }

  root.addEventListener("pointerdown", (event) => {
    root.focus({ preventScroll: true });
    held = grip(at(event)) || { press: at(event) };
    if (held.id !== undefined) {
      root.setPointerCapture(event.pointerId);
      event.preventDefault();
    }
  });
  root.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (held && held.id !== undefined) {
      pull([x - held.from[0], y - held.from[1]], held.sides, held.start, held.id, "drag");
    } else if (model.get("hover")) {
      send({ kind: "hover", x, y });
    }
  });
  root.addEventListener("pointerup", (event) => {
    const [x, y] = at(event);
    if (held && held.press && Math.hypot(x - held.press[0], y - held.press[1]) < 6) send({ kind: "click", x, y });
    held = null;
  });
  root.addEventListener("pointercancel", () => { held = null; });
  root.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    const first = model.get("boxes")[0], step = event.shiftKey ? 0.1 : 1;
    if (first) pull(steps[event.key].map((v) => v * step), [true, true, true, true], first.box, first.id, "drag");
    else send({ kind: "key", key: event.key, shift: event.shiftKey });
  });

  const watched = { value: picture, alt: words, boxes, width: size, height: size };
  for (const [name, act] of Object.entries(watched)) {
    model.on("change:" + name, act);
    act();
  }
  return () => {
    for (const [name, act] of Object.entries(watched)) model.off("change:" + name, act);
    cancelAnimationFrame(frame);
    URL.revokeObjectURL(img.src);
  };
}
export default { render };
"""
LOOKS = """
.mrcnn-canvas { position: relative; max-width: 100%; background: #fff; border-radius: 8px; overflow: hidden;
  cursor: pointer; border: 1px solid rgba(128, 128, 128, 0.35); box-sizing: border-box; }
.mrcnn-canvas:focus-visible { outline: 3px solid #0072B2; outline-offset: 2px; }
.mrcnn-canvas img, .mrcnn-canvas svg { position: absolute; inset: 0; width: 100%; height: 100%; user-select: none; }
.mrcnn-canvas svg { pointer-events: none; }
.mrcnn-canvas rect { fill: transparent; stroke-width: 2.5; vector-effect: non-scaling-stroke; }
"""

if anywidget is not None:

    class Canvas(anywidget.AnyWidget):
        """A picture that can be clicked, and boxes on it that can be dragged.

        value    the picture, JPEG bytes
        boxes    list of {"id", "box": [x1, y1, x2, y2] in CSS pixels of the card, "colour", "dash"}
        event    the newest {"kind": "click" | "hover" | "key" | "drag", …}. As a synchronised value it is held back
                 by the front end while Python works, and only the newest one is sent: old ones never queue up.
        """

        _esm = MODULE
        _css = LOOKS
        value = traitlets.Bytes(b"").tag(sync=True)
        width = traitlets.Int(900).tag(sync=True)
        height = traitlets.Int(600).tag(sync=True)
        alt = traitlets.Unicode("").tag(sync=True)
        boxes = traitlets.List([]).tag(sync=True)
        hover = traitlets.Bool(False).tag(sync=True)
        event = traitlets.Dict({}).tag(sync=True)


def make_canvas(width: int, height: int, on_event):
    """The canvas, or a plain image widget where anywidget is missing; both show `value` and can be laid out."""
    if anywidget is None:
        return ipywidgets.Image(format="jpeg", layout=ipywidgets.Layout(width=f"{width}px", max_width="100%"))
    canvas = Canvas(width=width, height=height)
    canvas.observe(lambda change: on_event(change["new"]), "event")
    return canvas
