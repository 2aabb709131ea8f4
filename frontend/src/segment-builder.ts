/**
 * The builder of a segment's rule. The page gives a catalogue of fields, the words, a text area that holds the rule as
 * JSON (what is worked with where no script runs, and what experts may open), and an address that answers a rule with
 * what it finds.
 */
import { debounce, element, icon, readJson } from "./page";
import { Drawing, type Desk } from "./rule-drawing";
import { History } from "./rule-history";
import { readRule, ruleAt, writeRule, type Paths } from "./rule-json";
import { Preview, type Problem } from "./rule-preview";
import {
  find, groupsOf, isComplete, leavesOf, move, newGroup, relatedKind, takeIsComplete,
  type Catalogue, type Choice, type Group, type Rule, type Way,
} from "./rule-tree";
import type { FindChoices, Labels } from "./value-editors";

const WAYS: Record<string, Way> = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "out", ArrowRight: "in" };
const QUIET_MS = 300;

class SegmentBuilder implements Desk {
  readonly catalogue: Catalogue;
  readonly labels: Labels;
  readonly uploadUrl: string | undefined;
  readonly findChoices: FindChoices;
  readonly tree = element("div", { class: "rule-tree" });
  root: Group = newGroup();
  private readonly input: HTMLTextAreaElement;
  private readonly text: HTMLElement | null;
  private readonly said = element("div", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  private readonly count = element("span", { class: "rule-count", "aria-live": "polite" });
  private readonly size = element("span", { class: "rule-size" });
  private readonly undoButton: HTMLButtonElement;
  private readonly redoButton: HTMLButtonElement;
  private readonly drawing: Drawing;
  private readonly history: History;
  private readonly preview: Preview | undefined;
  private readonly askSoon = debounce(() => void this.preview?.ask(this.input.value), QUIET_MS);
  private paths: Paths = new Map();
  private problem: Problem | undefined;

  constructor(mount: HTMLElement) {
    const { catalogue, labels, input, previewTarget, previewUrl, endUrl, uploadUrl, choicesUrl, segment } = mount.dataset;
    this.catalogue = readJson<Catalogue>(catalogue, NO_CATALOGUE);
    this.labels = readJson<Labels>(labels, {});
    this.uploadUrl = uploadUrl;
    this.findChoices = choiceFinder(choicesUrl ?? "", segment);
    this.input = document.querySelector<HTMLTextAreaElement>(input ?? "")!;
    this.text = this.input.closest<HTMLElement>("[data-rule-text]");
    this.undoButton = this.button("arrow-back-up", "undo", () => this.goTo(this.history.undo(), "undone"));
    this.redoButton = this.button("arrow-forward-up", "redo", () => this.goTo(this.history.redo(), "redone"));
    this.drawing = new Drawing(this);
    const readable = this.readText();
    this.history = new History(this.root);
    const target = document.querySelector<HTMLElement>(previewTarget ?? "");
    if (previewUrl && target) {
      const answered = (said: string, problem: Problem | undefined) => {
        this.count.textContent = said;
        this.problem = problem;
        this.mark();
      };
      this.preview = new Preview({ url: previewUrl, endUrl, segment, target, labels: this.labels, answered });
    }
    mount.replaceChildren(this.toolbar(!readable), this.tree, this.said);
    mount.addEventListener("keydown", (event) => this.onKey(event));
    this.input.addEventListener("input", () => this.typed());
    this.input.form?.addEventListener("submit", (event) => this.refuseUnfinished(event), true);
    this.drawing.draw();
    this.mark();
    void this.preview?.ask(this.input.value);
  }

  // ---- What happens on an edit ----

  edited(key: string): void {
    this.changed(key);
  }

  reshaped(focusKey?: string, said?: string): void {
    this.drawing.draw();
    if (focusKey) this.focus(focusKey);
    if (said) this.said.textContent = said;
    this.changed();
  }

  shift(rule: Rule, way: Way, focusKey: string): void {
    const moved = move(this.root, rule, way, this.catalogue.limits.depth);
    if (moved) this.reshaped(focusKey, this.drawing.whereIs(rule));
    else this.said.textContent = this.labels.cannot_move ?? "";
  }

  private changed(key?: string): void {
    const { json, paths } = writeRule(this.root, this.catalogue);
    this.input.value = JSON.stringify(json ?? { all: [] }, null, 2);
    this.paths = paths;
    this.problem = undefined;
    this.history.keep(this.root, key);
    this.mark();
    this.askSoon();
  }

  /** The text itself is edited: the tree follows as soon as it is a rule, the server says what is wrong with it. */
  private typed(): void {
    this.problem = undefined;
    if (this.readText()) {
      this.history.keep(this.root, "text");
      this.drawing.draw();
    }
    this.mark();
    this.askSoon();
  }

  private readText(): boolean {
    try {
      const { root, paths } = readRule(this.input.value);
      [this.root, this.paths] = [root, paths];
      return true;
    } catch {
      this.paths = new Map();
      return false;
    }
  }

  private goTo(root: Group | undefined, said: string): void {
    if (!root) return;
    this.root = root;
    this.reshaped(undefined, this.labels[said]);
    // The button may have become useless under the finger.
    const button = said === "undone" ? this.undoButton : this.redoButton;
    if (button.disabled) (said === "undone" ? this.redoButton : this.undoButton).focus();
  }

  private onKey(event: KeyboardEvent): void {
    const { key, target } = event;
    const typing = target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && target.type !== "file");
    if ((event.ctrlKey || event.metaKey) && !typing && (key.toLowerCase() === "z" || key.toLowerCase() === "y")) {
      event.preventDefault();
      const forth = event.shiftKey || key.toLowerCase() === "y";
      if (forth) this.goTo(this.history.redo(), "redone");
      else this.goTo(this.history.undo(), "undone");
      return;
    }
    const way = WAYS[key];
    const focused = target instanceof HTMLElement ? target : undefined;
    if (!way || !focused || !(event.altKey || focused.classList.contains("rule-grip"))) return;
    const rule = find(this.root, Number(focused.closest<HTMLElement>("[data-rule]")?.dataset.rule));
    if (!rule || !focused.dataset.focus) return;
    event.preventDefault();
    this.shift(rule, way, focused.dataset.focus);
  }

  private refuseUnfinished(event: SubmitEvent): void {
    const key = this.unfinished();
    if (!key) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    document.dispatchEvent(new CustomEvent("toast", { detail: { text: this.labels.finish_first ?? "", tone: "warning" } }));
    this.focus(key);
  }

  private unfinished(): string | undefined {
    for (const { rule, fields } of leavesOf(this.root, this.catalogue)) {
      if (isComplete(rule, fields, this.catalogue)) continue;
      return `${rule.id}:${rule.kind === "related" || rule.field ? "value" : "field"}`;
    }
    for (const { id, take } of groupsOf(this.root)) if (take && !takeIsComplete(take)) return `${id}:take-amount`;
    return undefined;
  }

  private focus(key: string): void {
    this.tree.querySelector<HTMLElement>(`[data-focus="${key}"]`)?.focus();
  }

  // ---- What is said beside the parts ----

  private mark(): void {
    const note = (id: number, text: string, part: string) => {
      const place = this.tree.querySelector<HTMLElement>(`[data-rule="${id}"] > ${part} > .rule-note`);
      if (place) place.textContent = text;
    };
    let conditions = 0;
    for (const { rule, fields } of leavesOf(this.root, this.catalogue)) {
      conditions += 1;
      const known = rule.kind === "related" ? relatedKind(rule, this.catalogue) : !rule.field || fields.some(({ key }) => key === rule.field);
      const words = known ? this.labels.incomplete : this.labels.unknown_field;
      note(rule.id, known && isComplete(rule, fields, this.catalogue) ? "" : (words ?? ""), ".rule-line > .rule-parts");
    }
    for (const { id, take } of groupsOf(this.root)) {
      if (take) note(id, takeIsComplete(take) ? "" : (this.labels.incomplete ?? ""), ".rule-take");
    }
    const { limits } = this.catalogue;
    const near = conditions > limits.conditions / 2;
    this.size.textContent = near ? fill(this.labels.size ?? "", { count: conditions, most: limits.conditions }) : "";
    this.undoButton.disabled = !this.history.canUndo;
    this.redoButton.disabled = !this.history.canRedo;
    this.showProblem();
  }

  private showProblem(): void {
    for (const box of this.tree.querySelectorAll<HTMLElement>(".has-problem")) box.classList.remove("has-problem");
    for (const said of this.tree.querySelectorAll<HTMLElement>(".rule-problem")) if (said.textContent) said.textContent = "";
    const id = this.problem && ruleAt(this.problem.path, this.paths);
    const box = id === undefined ? null : this.tree.querySelector<HTMLElement>(`[data-rule="${id}"]`);
    const said = box?.querySelector<HTMLElement>(":scope > .rule-problem");
    if (!box || !said || !this.problem) return;
    box.classList.add("has-problem");
    said.textContent = this.problem.text;
  }

  // ---- The line above the tree ----

  private toolbar(textOpen: boolean): HTMLElement {
    const toggle = this.button("code", "as_json", () => open(Boolean(this.text?.hidden)));
    toggle.classList.remove("btn-icon");
    toggle.append(this.labels.as_json ?? "");
    const open = (shown: boolean) => {
      if (this.text) this.text.hidden = !shown;
      toggle.setAttribute("aria-expanded", String(shown));
      toggle.classList.toggle("is-on", shown);
    };
    toggle.setAttribute("aria-controls", this.text?.id ?? "");
    open(textOpen);
    return element("div", { class: "rule-toolbar" }, this.count, this.size, element("span", { class: "rule-tools" }, this.undoButton, this.redoButton, toggle));
  }

  private button(drawing: string, label: string, act: () => void): HTMLButtonElement {
    const words = this.labels[label] ?? "";
    const button = element("button", { type: "button", class: "btn btn-sm btn-icon", "aria-label": words, title: this.labels[`${label}_title`] ?? words }, icon(drawing));
    button.addEventListener("click", act);
    return button;
  }
}

const NO_CATALOGUE: Catalogue = { groups: [], fields: [], related: [], take: { by: [], max: 0 }, limits: { depth: 8, conditions: 200 } };

function fill(text: string, values: Record<string, number>): string {
  return text.replace(/\{(\w+)\}/g, (_whole, name: string) => String(values[name] ?? ""));
}

function choiceFinder(url: string, segment: string | undefined): FindChoices {
  return async (field, asked) => {
    const query = new URLSearchParams({ of: field, search: asked.typed ?? "" });
    for (const value of asked.values ?? []) query.append("value", String(value));
    if (segment) query.set("segment", segment);
    const response = await fetch(`${url}?${query}`, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`${response.status}`);
    return ((await response.json()) as { choices: Choice[] }).choices;
  };
}

const mounted = new WeakSet<HTMLElement>();

function mountAll(): void {
  for (const mount of document.querySelectorAll<HTMLElement>("[data-segment-builder]")) {
    if (mounted.has(mount)) continue;
    mounted.add(mount);
    new SegmentBuilder(mount);
  }
}

mountAll();
document.addEventListener("htmx:afterSettle", mountAll);
