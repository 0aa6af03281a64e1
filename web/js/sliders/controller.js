// Hooks the panel up to its node. The values live in the node's own text widget "strengths", so a
// workflow is saved, queued and scripted as if this file did not exist.

import { app } from "../../../../scripts/app.js";
import { api } from "../../../../scripts/api.js";
import { BeforePicture } from "./before.js";
import { PanelMemory } from "./memory.js";
import { SliderPanel } from "./panel.js";
import { OwnPresets } from "./presets.js";
import { LivePreview } from "./preview.js";
import {
  findDirections, forgetDirections, lastReport, modelNameOf, newestReport, pictureUrl,
  reportInHistory, thumbnailOf,
} from "./sources.js";
import { hideOutside, showOutside } from "./subgraph.js";
import { translate } from "./translate.js";
import { addWire, chain, findWidget, isConnected, removeWire, wiredSliders } from "./wires.js";

const WIDGET = { serialize: false, hideOnZoom: false, getMinHeight: () => 240 };
const REST = 150; // ms without a move, after which the text widget is written
const ownPresets = new OwnPresets(api);

// Makes what changed a step of the host's undo, which looks by itself only when the mouse is let go:
// before a click is one.
function noteChange() {
  app.canvas?.emitBeforeChange?.();
  app.canvas?.emitAfterChange?.();
}

function send(body) {
  return api.fetchApi("/face_latents/preview", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

// One per node: what the panel shows and where it comes from.
export class Controller {
  constructor(node) {
    this.node = node;
    this.strengths = findWidget(node, "strengths");
    this.keepOthers = findWidget(node, "keep_others");
    this.ran = null; // what the last run of this node reported
    this.asked = false; // the server's history was looked through for it
    this.model = undefined; // name of the model whose directions are shown
    this.unsaved = null; // values that the text widget does not hold yet
    this.panel = new SliderPanel({
      change: (values, settled) => this.write(values, settled),
      wire: (name, label) => this.toggleWire(name, label),
      enter: () => this.refresh(),
      // What comes by wire is known only to a run, so that names them too.
      keepsOthers: () => !!this.keepOthers.value || this.isLinked("keep_others"),
      view: () => {
        if (this.ran !== null) this.move(true);
      },
      hold: (on) => this.hold(on),
      noteChange,
      picture: (direction) => thumbnailOf(modelNameOf(this.node), direction),
    }, new PanelMemory(node), ownPresets);
    this.preview = new LivePreview({
      send,
      show: (url) => this.panel.stage.show(url),
      work: (pending) => {
        this.panel.stage.setBusy(pending);
        if (!pending) this.redraw();
      },
      say: (text) => this.panel.say(text || (this.ran?.warnings ?? []).join("\n")),
    });
    this.before = new BeforePicture(send);
    const { element } = this.panel;
    const widget = node.addDOMWidget("sliders", "face_latents_sliders", element, WIDGET);
    widget.serialize = false;
    this.listen();
  }

  // Undo and redo make the node anew. Nodes 2.0 keeps the place of its panel on the page, with the
  // panel of the removed node in it.
  takePlace() {
    const { element } = this.panel;
    element.dataset.node = `${this.node.graph.id}:${this.node.id}`;
    if (element.isConnected) return;
    const selector = `.${element.className}[data-node="${CSS.escape(element.dataset.node)}"]`;
    document.querySelector(selector)?.replaceWith(element);
  }

  // The last run of this node, after undo, a tab switch or a reload made it anew.
  async restore() {
    if (this.ran !== null) return;
    let report = lastReport(this.node);
    if (!report && !this.asked) {
      this.asked = true;
      report = await reportInHistory(this.node);
    }
    if (report && this.ran === null) this.showRun(report);
  }

  listen() {
    const { node } = this;
    this.strengths.callback = chain(this.strengths.callback, () => this.read(true));
    this.strengths.beforeQueued = chain(this.strengths.beforeQueued, () => this.save());
    this.keepOthers.callback = chain(this.keepOthers.callback, () => {
      if (this.values() !== null) this.write(this.panel.toSave(), true);
    });
    node.onExecuted = chain(node.onExecuted, (output) => {
      const report = newestReport(output);
      if (report) this.showRun(report);
    });
    node.onConfigure = chain(node.onConfigure, () => this.read(false));
    node.onConnectionsChange = chain(node.onConnectionsChange, () => {
      // The links of a workflow are complete only after all its nodes were made.
      requestAnimationFrame(() => this.refresh());
    });
    node.onRemoved = chain(node.onRemoved, () => {
      this.forget();
      this.preview.stop();
      this.before.stop();
      this.panel.stop();
      hideOutside(this.panel.element);
    });
  }

  // Slider values, as the text widget holds them but while they move; null for a text that cannot
  // be read.
  values() {
    if (this.unsaved !== null) return this.unsaved;
    try {
      const held = JSON.parse(this.strengths.value || "{}");
      const isObject = held !== null && typeof held === "object" && !Array.isArray(held);
      const numbers = isObject && Object.values(held).every(Number.isFinite);
      return numbers ? held : null;
    } catch {
      return null;
    }
  }

  // From the text widget to the sliders.
  read(show) {
    this.forget();
    const values = this.values();
    if (values === null) {
      this.panel.say(translate("The strengths have to be JSON like {example}.",
        { example: '{"smile": 1.5}' }));
      this.foldText();
      return;
    }
    this.panel.setValues(values);
    this.refresh();
    if (show) this.move(true);
  }

  // From the sliders to the text widget: not at every step of a drag, as Nodes 2.0 makes all widgets
  // of the node anew for it, and drawing the graph takes its time.
  write(values, settled) {
    this.forget();
    this.unsaved = values;
    if (settled) {
      this.save();
      this.redraw();
      noteChange();
    } else this.timer = setTimeout(() => this.save(), REST);
    this.move(settled);
  }

  save() {
    if (this.unsaved !== null) this.strengths.value = JSON.stringify(this.unsaved);
    this.forget();
  }

  forget() {
    clearTimeout(this.timer);
    this.unsaved = null;
  }

  redraw() {
    this.node.graph?.setDirtyCanvas?.(true, false);
  }

  // The faces in memory are those of the last run: not those of a model connected since then.
  isReady() {
    return this.ran !== null && this.ran.model === modelNameOf(this.node);
  }

  async hold(on) {
    if (!on || !this.isReady()) return;
    const url = await this.before.find({ id: this.ran.id, ...this.panel.stage.view });
    if (url) this.panel.stage.showBefore(url);
  }

  move(settled) {
    const ready = this.isReady();
    if (!ready) {
      this.preview.drop(); // its answer would clear what is said
      this.panel.say(translate("Queue the workflow to see the change."));
    }
    const values = ready && this.isLinked("strengths") ? this.ran.strengths : this.values();
    if (!ready || values === null) return;
    const known = new Set(this.ran.directions.map((row) => row.name));
    this.preview.ask({
      id: this.ran.id,
      strengths: Object.fromEntries(Object.entries(values).filter(([name]) => known.has(name))),
      keep_others: this.isLinked("keep_others") ? this.ran.keep_others : !!this.keepOthers.value,
      ...this.panel.stage.view,
    }, settled);
  }

  showRun(report) {
    this.ran = { ...report, model: modelNameOf(this.node) };
    this.panel.say(report.warnings.join("\n"));
    this.preview.drop();
    this.panel.stage.show(pictureUrl(report.picture));
    this.model = undefined;
    forgetDirections(); // the run may have saved one
    this.refresh().then(() => {
      // The sliders may have moved while the workflow ran.
      const values = { ...this.values(), ...report.driven };
      const moved = report.directions.some(({ name }) =>
        (values[name] ?? 0) !== (report.strengths[name] ?? 0));
      const kept = !!this.keepOthers.value === report.keep_others;
      if (moved || !kept || this.panel.stage.isOther()) this.move(true);
    });
  }

  // The classic canvas keeps the text behind the sliders folded away as well (Show Advanced in the
  // node's menu), unless it has to be seen: it comes by wire, or cannot be read.
  foldText() {
    this.strengths.advanced = !this.isLinked("strengths") && this.values() !== null;
  }

  isLinked(name) {
    return isConnected(this.node, name);
  }

  // Which sliders there are, and which of them a wire sets.
  async refresh() {
    if (!this.node.graph) return; // not placed yet, or removed
    this.takePlace();
    if (this.node.graph.isRootGraph === false) {
      showOutside(this.node, this.panel.element, WIDGET);
    }
    this.foldText();
    this.panel.list.recall();
    this.panel.stage.recall();
    this.restore();
    const model = modelNameOf(this.node);
    if (model !== this.model || this.panel.isEmpty()) {
      this.model = model;
      const listed = await findDirections(api, model);
      if (model !== this.model) return; // another model was connected meanwhile
      const ran = this.ran?.directions ?? [];
      const names = new Set(listed.map((row) => row.name));
      const onWires = ran.filter((row) => row.source === "wire" || listed.length === 0);
      this.panel.setDirections([...listed, ...onWires.filter((row) => !names.has(row.name))]);
    }
    this.panel.setWired(wiredSliders(this.node), this.ran?.driven ?? {});
    this.panel.setByWire(this.isLinked("strengths"), this.ran?.strengths ?? {});
  }

  toggleWire(name, label) {
    if (wiredSliders(this.node).has(name)) removeWire(this.node, name);
    else addWire(this.node, name, label);
    this.refresh();
    this.node.graph?.setDirtyCanvas?.(true, true);
    noteChange();
  }
}
