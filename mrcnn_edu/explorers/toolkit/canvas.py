"""The picture of an explorer: an anywidget canvas that hands clicks, keys, dragged boxes and dropped files to Python.

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
  const frame = document.createElement("div");  // scrolls sideways where the page is narrower than the card may be
  frame.className = "mrcnn-frame";
  frame.append(root);
  el.append(frame);

  let count = model.get("answered");  // of events sent: what Python says about an older one is not drawn
  let local = [];  // the boxes as they are drawn, which run ahead of Python while a hand moves them
  let held = null;
  let pending = null;
  let beat = 0;
  const steps = [...(model.get("event").steps || [0, 0])];  // of arrow keys, counted so that none is lost

  function flush() {
    beat = 0;
    for (const [name, value] of Object.entries(pending)) model.set(name, value);
    pending = null;
    model.save_changes();
  }
  function send(name, value) {
    pending = { ...pending, [name]: value };
    if (!beat) beat = requestAnimationFrame(flush);
  }
  function act(event) {
    send("event", { ...event, count: ++count });
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
    fit();
    root.style.aspectRatio = model.get("width") + " / " + model.get("height");
    svg.setAttribute("viewBox", `0 0 ${model.get("width")} ${model.get("height")}`);
  }
  // In JupyterLab the card shrinks until it is seen whole with its controls, but never below the width that reads.
  function fit() {
    const width = model.get("width"), least = Math.min(model.get("narrowest"), width);
    const panel = root.closest(".jp-WindowedPanel-outer, .jp-Notebook"), view = root.closest(".mrcnn-view");
    if (!root.offsetParent) return;  // the lab takes cells off the page while they are out of sight
    let most = width;
    if (panel && view && panel.clientHeight) {
      const above = root.getBoundingClientRect().top - view.getBoundingClientRect().top;
      const room = panel.clientHeight - above - 14;
      most = Math.max(least, Math.min(width, Math.floor(room * width / model.get("height"))));
    }
    root.style.width = `min(100%, ${most}px)`;
    root.style.minWidth = `${least}px`;
  }
  const watch = new ResizeObserver(() => requestAnimationFrame(fit));
  // What ipywidgets leaves without a name for those who do not see the page: each slider's handle and number box,
  // and the buttons that play.
  function name(view) {
    for (const player of view.querySelectorAll(".widget-play"))
      ["Play", "Stop", "Repeat"].forEach((word, i) => {
        const button = player.querySelectorAll("button")[i];
        if (button) button.setAttribute("aria-label", word);
      });
    for (const number of view.querySelectorAll(".mrcnn-number, .widget-slider")) {
      const label = number.querySelector(".widget-label"), box = number.querySelector("input[type=text]");
      for (const part of number.querySelectorAll(".noUi-handle, .ui-slider-handle, input[type=text]"))
        if (label) part.setAttribute("aria-label", label.textContent);
      const handle = number.querySelector(".noUi-handle, .ui-slider-handle");
      const shown = box ? box.value : (number.querySelector(".widget-readout") || {}).textContent;
      if (handle && shown && handle.getAttribute("aria-valuetext") !== shown)
        handle.setAttribute("aria-valuetext", shown);
    }
  }
  const names = new MutationObserver(() => requestAnimationFrame(() => {
    const view = root.closest(".mrcnn-view");
    if (view) name(view);
  }));
  function settle() {
    const view = root.closest(".mrcnn-view"), panel = root.closest(".jp-WindowedPanel-outer, .jp-Notebook");
    if (!view) return;
    if (panel) watch.observe(panel);
    watch.observe(frame);
    for (const part of view.children) if (!part.contains(root)) watch.observe(part);
    names.observe(view, { childList: true, subtree: true, attributes: true, attributeFilter: ["aria-valuenow"] });
    name(view);
    fit();
  }
  requestAnimationFrame(() => requestAnimationFrame(settle));
  function shape(kind, settings) {
    const made = document.createElementNS(NS, kind);
    for (const [key, value] of Object.entries(settings)) made.setAttribute(key, value);
    return made;
  }
  function show() {
    svg.replaceChildren(...local.flatMap((b) => {
      const [x1, y1, x2, y2] = b.box, place = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
      const line = { ...place, stroke: b.colour, "stroke-dasharray": b.dash || "none", "data-id": b.id };
      // What is only moved has one grip in its middle, what is also stretched one at each corner.
      const corners = b.fixed ? [[(x1 + x2) / 2, (y1 + y2) / 2]] : [[x1, y1], [x2, y1], [x1, y2], [x2, y2]];
      const grips = corners.map(([x, y]) =>
        shape("rect", { class: "grip", x: x - 4, y: y - 4, width: 8, height: 8, stroke: b.colour }));
      return [shape("rect", { ...place, class: "halo" }), shape("rect", line), ...grips];
    }));
    root.style.touchAction = local.length ? "none" : "manipulation";
  }
  function accept() {
    if (held || model.get("answered") < count) return;
    local = model.get("boxes");
    show();
  }
  // An edge or corner is taken before the body of a box that lies over it.
  function grip([x, y]) {
    let body = null;
    for (const b of [...local].reverse()) {
      const [x1, y1, x2, y2] = b.box;
      // In a narrow box the body must stay reachable.
      const reach = [x2 - x1, y2 - y1].map((side) => Math.min(9, Math.max(side / 4, 3)));
      if (x < x1 - 9 || x > x2 + 9 || y < y1 - 9 || y > y2 + 9) continue;
      const sides = b.fixed ? [false] : b.box.map((side, i) => {
        const inward = ((i % 2 ? y : x) - side) * (i < 2 ? 1 : -1);
        return inward >= -9 && inward <= reach[i % 2];
      });
      const taken = { id: b.id, start: b.box, from: [x, y], sides };
      if (sides.some(Boolean)) return taken;
      body = body || { ...taken, sides: [true, true, true, true] };
    }
    return body;
  }
  function acts([x, y]) {
    return model.get("areas").some(([x1, y1, x2, y2]) => x >= x1 && x <= x2 && y >= y1 && y <= y2);
  }
  function cursor(g, place) {
    if (!g) return acts(place) ? "pointer" : "default";
    const along = local.find((b) => b.id === g.id).along;
    if (along) return along === "x" ? "ew-resize" : "ns-resize";
    const [left, top, right, bottom] = g.sides, wide = left !== right, high = top !== bottom;
    if (wide && high) return left === top ? "nwse-resize" : "nesw-resize";
    return wide ? "ew-resize" : high ? "ns-resize" : "move";
  }
  function pull(by, sides, start, id, kind) {
    const own = local.find((b) => b.id === id), least = model.get("least"), limits = own.bounds || model.get("bounds");
    const way = own.along ? [own.along === "x" ? by[0] : 0, own.along === "y" ? by[1] : 0] : by;
    let box = start.map((v, i) => v + (sides[i] ? way[i % 2] : 0));
    if (sides.every(Boolean)) {
      for (const i of [0, 1]) {
        const back = Math.max(limits[i] - box[i], 0) + Math.min(limits[i + 2] - box[i + 2], 0);
        box[i] += back;
        box[i + 2] += back;
      }
    } else {
      box = box.map((v, i) => {
        if (!sides[i]) return v;
        return i < 2 ? Math.min(Math.max(v, limits[i]), box[i + 2] - least)
                     : Math.max(Math.min(v, limits[i]), box[i - 2] + least);
      });
    }
    local = local.map((b) => b.id === id ? { ...b, box } : b);
    show();
    act({ kind, id, box });
  }

  root.addEventListener("pointerdown", (event) => {
    root.focus({ preventScroll: true });
    held = grip(at(event)) || { press: at(event) };
    if (held.id !== undefined) {
      held.press = at(event);
      root.setPointerCapture(event.pointerId);
      event.preventDefault();
    }
  });
  root.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (held && held.id !== undefined) {
      const by = [x - held.from[0], y - held.from[1]];
      if (held.moved || Math.hypot(...by) > 2) {
        held.moved = true;
        pull(by, held.sides, held.start, held.id, "drag");
      }
    } else {
      root.style.cursor = cursor(grip([x, y]), [x, y]);
      if (model.get("hover")) send("pointer", [x, y]);
    }
  });
  root.addEventListener("pointerleave", () => { if (model.get("hover")) send("pointer", []); });
  root.addEventListener("pointerup", (event) => {
    const [x, y] = at(event), was = held;
    held = null;
    if (was && was.moved) act({ kind: "drop", id: was.id, box: local.find((b) => b.id === was.id).box });
    else if (was && was.press && Math.hypot(x - was.press[0], y - was.press[1]) < 6) act({ kind: "click", x, y });
  });
  root.addEventListener("pointercancel", () => {
    const was = held;
    held = null;
    if (was && was.moved) act({ kind: "drop", id: was.id, box: local.find((b) => b.id === was.id).box });
  });
  root.addEventListener("dragover", (event) => {
    if (!model.get("takes_files")) return;
    event.preventDefault();
    event.stopPropagation();
    root.classList.add("mrcnn-drop");
  });
  root.addEventListener("dragleave", () => root.classList.remove("mrcnn-drop"));
  root.addEventListener("drop", async (event) => {
    if (!model.get("takes_files")) return;
    event.preventDefault();
    event.stopPropagation();
    root.classList.remove("mrcnn-drop");
    for (const file of event.dataTransfer.files)
      model.send({ kind: "file", name: file.name }, undefined, [await file.arrayBuffer()]);
  });
  root.addEventListener("keydown", (event) => {
    const keys = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!(event.key in keys)) return;
    event.preventDefault();
    event.stopPropagation();
    const first = local.find((b) => b.keys !== false), size = event.shiftKey ? 0.1 : 1, [dx, dy] = keys[event.key];
    if (first) {
      const unit = model.get("unit");
      pull([dx * size * unit, dy * size * unit], [true, true, true, true], first.box, first.id, "drop");
    } else {
      steps[0] += dx;
      steps[1] += dy;
      act({ kind: "key", steps: [...steps], shift: event.shiftKey });
    }
  });

  const watched = { value: picture, alt: words, boxes: accept, answered: accept, width: size, height: size };
  for (const [name, act] of Object.entries(watched)) {
    model.on("change:" + name, act);
    act();
  }
  return () => {
    for (const [name, act] of Object.entries(watched)) model.off("change:" + name, act);
    cancelAnimationFrame(beat);
    watch.disconnect();
    names.disconnect();
    URL.revokeObjectURL(img.src);
  };
}
export default { render };
"""
LOOKS = """
.mrcnn-view { --jp-widgets-font-size: 12px; --jp-widgets-inline-height: 24px; --jp-widgets-margin: 1px; }
.mrcnn-frame { overflow-x: auto; max-width: 100%; }
.mrcnn-canvas { position: relative; background: #fff; border-radius: 8px; overflow: hidden;
  cursor: default; border: 1px solid rgba(128, 128, 128, 0.35); box-sizing: border-box; }
.mrcnn-canvas img, .mrcnn-canvas svg { position: absolute; inset: 0; width: 100%; height: 100%; user-select: none; }
.mrcnn-canvas svg { pointer-events: none; }
.mrcnn-canvas rect { fill: transparent; stroke-width: 2.5; vector-effect: non-scaling-stroke; }
.mrcnn-canvas rect.halo { stroke: rgba(255, 255, 255, 0.8); stroke-width: 5; }
.mrcnn-canvas rect.grip { fill: #fff; stroke-width: 1.5; }
.mrcnn-canvas.mrcnn-drop { outline: 4px dashed #0072B2; outline-offset: -6px; }
.mrcnn-canvas:focus { outline: none; }
.mrcnn-canvas:focus-visible::after { content: ""; position: absolute; inset: 0; border: 3px solid #0072B2;
  border-radius: 8px; pointer-events: none; }
/* On a dark page a white card glares. The whole card gets darker, so that its colours keep their distance. */
body[data-jp-theme-light="false"] .mrcnn-canvas, html[theme="dark"] .mrcnn-canvas, body.vscode-dark .mrcnn-canvas {
  filter: brightness(0.87); }
.mrcnn-view .widget-hbox, .mrcnn-view .widget-vbox { overflow: visible; }
.mrcnn-view :is(input, select, button, .noUi-handle):focus-visible { outline: 2px solid #0072B2; outline-offset: 1px; }
"""

if anywidget is not None:

    class Canvas(anywidget.AnyWidget):
        """A picture that can be clicked, and boxes on it that can be dragged. Places are CSS pixels of the card.

        value     the picture, JPEG bytes
        boxes     list of {"id", "box": [x1, y1, x2, y2], "colour", "dash"}; with "fixed" a box is moved, not stretched;
                  with "along": "x" or "y" it moves that way only; "bounds" are its own; with "keys": False the arrow
                  keys leave it alone
        bounds    where boxes may be; `least` is their shortest side
        areas     where a click acts: list of [x1, y1, x2, y2]; the hand cursor is shown there alone
        unit      CSS pixels that an arrow key moves a box by; with Shift a tenth
        event     the newest {"kind": "click" | "key" | "drag" | "drop", …, "count"}. As a synchronised value it is
                  held back by the front end while Python works, and only the newest one is sent: old ones never
                  queue up. A key's "steps" count from the beginning, so that none is lost then
        answered  the count of the newest event that `boxes` already heeds; until then the browser shows its own
        narrowest  CSS pixels below which the card is not shown smaller: the page scrolls then
        takes_files  whether a file that is dropped onto the card is sent, as a message with its bytes
        hover     whether `pointer`, the place under the mouse or nothing, is wanted
        """

        _esm = MODULE
        _css = LOOKS
        value = traitlets.Bytes(b"").tag(sync=True)
        width = traitlets.Int(900).tag(sync=True)
        height = traitlets.Int(600).tag(sync=True)
        alt = traitlets.Unicode("").tag(sync=True)
        boxes = traitlets.List([]).tag(sync=True)
        bounds = traitlets.List([0, 0, 900, 600]).tag(sync=True)
        areas = traitlets.List([]).tag(sync=True)
        narrowest = traitlets.Int(700).tag(sync=True)
        takes_files = traitlets.Bool(False).tag(sync=True)
        least = traitlets.Float(1.0).tag(sync=True)
        unit = traitlets.Float(1.0).tag(sync=True)
        hover = traitlets.Bool(False).tag(sync=True)
        pointer = traitlets.List([]).tag(sync=True)
        event = traitlets.Dict({}).tag(sync=True)
        answered = traitlets.Int(0).tag(sync=True)


def make_canvas(width: int, height: int, on_event, on_pointer=None, on_file=None):
    """The canvas, or a plain image widget where anywidget is missing; both show `value` and can be laid out.

    on_event    called with each event
    on_pointer  called with (x, y), or nothing, where the mouse is; None if the explorer does not want to know
    on_file     called with (name, bytes) of each file that is dropped onto the card; None if it takes none
    """
    if anywidget is None:
        return ipywidgets.Image(format="jpeg", layout=ipywidgets.Layout(width=f"{width}px", max_width="100%"))
    canvas = Canvas(width=width, height=height, bounds=[0, 0, width, height], hover=on_pointer is not None)
    canvas.observe(lambda change: on_event(change["new"]), "event")
    if on_pointer is not None:
        canvas.observe(lambda change: on_pointer(*change["new"]), "pointer")
    if on_file is not None:
        canvas.takes_files = True
        canvas.on_msg(lambda _, content, buffers: on_file(content["name"], bytes(buffers[0])))
    return canvas
