/**
 * The builder of a segment's rule. The page gives a catalogue of fields, the words, a hidden input that holds the rule as
 * JSON, and an address that answers a rule with a few lines of HTML ("12,480 clients match").
 */
import { combobox } from "./combobox";
import { csrfToken, debounce, element, readJson } from "./page";
import {
  chooseField, chooseOperator, conditionsOf, contains, duplicate, fieldOf, isComplete, move, newCondition, newGroup,
  operatorOf, parentOf, parseRule, place, remove, writeRule,
  type Catalogue, type Condition, type Group, type Rule,
} from "./rule-tree";
import { valueEditor, type Labels } from "./value-editors";

const ENGLISH: Labels = {
  match_all: "all of these",
  match_any: "any of these",
  clients_who: "Clients who match",
  clients_who_not: "Clients who do not match",
  and: "and",
  or: "or",
  not: "not",
  negate: "Turn into its opposite",
  add_condition: "Add condition",
  add_group: "Add group",
  remove: "Remove",
  duplicate: "Duplicate",
  move_up: "Move up",
  move_down: "Move down",
  drag: "Drag to another place",
  moved: "Moved",
  removed: "Removed",
  field: "Field",
  choose_field: "Type to find a field",
  operator: "Comparison",
  value: "value",
  choose: "Choose",
  add_value: "Add a choice",
  add_values: "Add values, comma between",
  nothing_found: "Nothing found",
  from: "from",
  to: "to",
  until: "to",
  days: "days",
  incomplete: "incomplete, not counted yet",
  unknown_field: "this field no longer exists",
  finish_first: "Finish or remove the incomplete conditions first; otherwise more clients would be chosen than you mean.",
  empty: "No conditions yet, so every client matches. Add the first condition.",
  empty_group: "This group is empty and is not counted.",
  preview_failed: "The clients could not be counted. Please try again in a moment.",
};

class SegmentBuilder {
  private readonly catalogue: Catalogue;
  private readonly labels: Labels;
  private readonly input: HTMLInputElement;
  private readonly target: HTMLElement | null;
  private readonly status = element("div", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  private readonly tree = element("div", { class: "rule-tree" });
  private readonly root: Group;
  private readonly previewSoon = debounce(() => void this.preview(), 250);
  private request: AbortController | undefined;
  private lastSent: string | undefined;
  private dragged: Rule | undefined;

  constructor(private readonly mount: HTMLElement) {
    const { catalogue, labels, input, previewTarget } = mount.dataset;
    this.catalogue = readJson<Catalogue>(catalogue, { groups: [], fields: [] });
    this.labels = { ...ENGLISH, ...readJson<Labels>(labels, {}) };
    this.input = document.querySelector<HTMLInputElement>(input ?? "")!;
    this.target = previewTarget ? document.querySelector<HTMLElement>(previewTarget) : null;
    this.target?.setAttribute("aria-live", "polite");
    this.root = parseRule(this.input.value);
    mount.replaceChildren(this.tree, this.status);
    this.input.form?.addEventListener("submit", (event) => this.refuseUnfinished(event), true);
    this.draw();
    this.changed();
  }

  // ---- What happens on an edit ----

  private changed(): void {
    const rule = writeRule(this.root, this.catalogue) ?? { all: [] };
    this.input.value = JSON.stringify(rule);
    this.input.dispatchEvent(new Event("change"));
    for (const condition of conditionsOf(this.root)) this.mark(condition);
    if (this.input.value !== this.lastSent) this.previewSoon();
  }

  private async preview(): Promise<void> {
    const url = this.mount.dataset.previewUrl;
    if (!url || !this.target || this.input.value === this.lastSent) return;
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    this.lastSent = this.input.value;
    this.target.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(url, {
        method: "POST",
        body: new URLSearchParams({ rule: this.input.value }),
        headers: { "X-CSRFToken": csrfToken(), "HX-Request": "true" },
        signal: request.signal,
      });
      const text = await response.text();
      const html = response.headers.get("Content-Type")?.startsWith("text/html");
      if (html && (response.ok || response.status === 422)) this.target.innerHTML = text;
      else this.say(!html && text.length < 500 ? text : undefined);
    } catch (error) {
      if ((error as Error).name === "AbortError") return;
      this.say();
    }
    if (this.request === request) this.target.removeAttribute("aria-busy");
  }

  /** A failed count may be asked for again by the next edit, whatever it is. */
  private say(sentence = this.labels.preview_failed ?? ""): void {
    this.lastSent = undefined;
    this.target?.replaceChildren(element("p", { class: "text-danger" }, sentence));
  }

  private refuseUnfinished(event: SubmitEvent): void {
    const unfinished = [...conditionsOf(this.root)].find((condition) => !isComplete(condition, this.catalogue));
    if (!unfinished) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const sentence = this.labels.finish_first ?? "";
    document.dispatchEvent(new CustomEvent("toast", { detail: { text: sentence, tone: "warning" } }));
    this.focus(`${unfinished.id}:${unfinished.field ? "value" : "field"}`);
  }

  /** The shape of the tree has changed: draw it anew and put the focus where the person is working. */
  private redraw(focusKey?: string, said?: string): void {
    this.draw();
    if (focusKey) this.focus(focusKey);
    if (said) this.status.textContent = said;
    this.changed();
  }

  private focus(key: string): void {
    this.tree.querySelector<HTMLElement>(`[data-focus="${key}"]`)?.focus();
  }

  private mark(condition: Condition): void {
    const note = this.tree.querySelector<HTMLElement>(`[data-rule="${condition.id}"] .rule-note`);
    if (!note) return;
    const known = !condition.field || fieldOf(condition, this.catalogue);
    const words = known ? this.labels.incomplete : this.labels.unknown_field;
    note.textContent = known && isComplete(condition, this.catalogue) ? "" : (words ?? "");
  }

  // ---- Drawing ----

  private draw(): void {
    this.tree.replaceChildren(this.drawGroup(this.root, true));
  }

  private drawGroup(group: Group, isRoot: boolean): HTMLElement {
    const mode = (key: "all" | "any") => {
      const button = this.toggle(this.labels[`match_${key}`] ?? "", group.mode === key, `${group.id}:${key}`);
      button.addEventListener("click", () => {
        group.mode = key;
        this.redraw(`${group.id}:${key}`);
      });
      return button;
    };
    const lead = this.labels[group.negated ? "clients_who_not" : "clients_who"] ?? "";
    const head = element(
      "div",
      { class: "rule-head" },
      ...(isRoot ? [] : [this.handle(group)]),
      element("span", { class: "rule-lead" }, lead),
      element("span", { class: "btn-group", role: "group", "aria-label": lead }, mode("all"), mode("any")),
      this.negator(group),
      ...(isRoot ? [] : [this.tools(group)]),
    );
    const items: HTMLElement[] = [];
    for (const item of group.items) {
      if (items.length) {
        const word = this.labels[group.mode === "all" ? "and" : "or"] ?? "";
        items.push(element("div", { class: "rule-between", "aria-hidden": "true" }, word));
      }
      items.push(item.kind === "group" ? this.drawGroup(item, false) : this.drawCondition(item));
    }
    if (!items.length) {
      const words = this.labels[isRoot ? "empty" : "empty_group"] ?? "";
      items.push(element("p", { class: "rule-empty" }, words));
    }
    const box = element(
      "div",
      { class: isRoot ? "rule-group is-root" : "rule-group", role: "group", "aria-label": lead, "data-rule": group.id },
      head,
      ...items,
      element("div", { class: "rule-add" }, this.adder(group, "condition"), this.adder(group, "group")),
    );
    if (!isRoot) this.acceptDrop(box, group);
    return box;
  }

  private drawCondition(condition: Condition): HTMLElement {
    const field = fieldOf(condition, this.catalogue);
    const parts = element("div", { class: "rule-parts" }, this.fieldChooser(condition));
    if (field) {
      parts.append(this.negator(condition), this.operatorChooser(condition));
      const operator = operatorOf(condition, this.catalogue);
      const editor = operator && valueEditor({
        kind: operator.value,
        field,
        value: condition.value,
        labels: this.labels,
        focusKey: `${condition.id}:value`,
        change: (value) => {
          condition.value = value;
          this.changed();
        },
      });
      if (editor) parts.append(element("div", { class: "rule-value" }, editor));
    }
    parts.append(element("span", { class: "rule-note" }));
    const line = element("div", { class: "rule-line" }, this.handle(condition), parts, this.tools(condition));
    const name = field?.label ?? this.labels.add_condition;
    const box = element("div", { class: "rule-condition", role: "group", "aria-label": name, "data-rule": condition.id }, line);
    this.acceptDrop(box, condition);
    return box;
  }

  private fieldChooser(condition: Condition): HTMLElement {
    const groups = new Map(this.catalogue.groups.map((group) => [group.key, group.label]));
    const order = [...groups.keys()];
    const options = this.catalogue.fields
      .map((field) => ({ value: field.key, label: field.label, group: groups.get(field.group), hint: field.key, at: field.group }))
      .sort((one, other) => order.indexOf(one.at) - order.indexOf(other.at));
    if (condition.field && !fieldOf(condition, this.catalogue)) {
      options.push({ value: condition.field, label: condition.field, group: undefined, hint: "", at: "" });
    }
    return combobox<string>({
      options,
      chosen: condition.field || undefined,
      label: this.labels.field ?? "",
      placeholder: this.labels.choose_field ?? "",
      nothing: this.labels.nothing_found ?? "",
      focusKey: `${condition.id}:field`,
      choose: (key) => {
        chooseField(condition, key, this.catalogue);
        this.redraw(`${condition.id}:op`);
      },
    });
  }

  private operatorChooser(condition: Condition): HTMLElement {
    const operators = fieldOf(condition, this.catalogue)?.operators ?? [];
    const select = element(
      "select",
      { class: "form-select rule-operator", "aria-label": this.labels.operator, "data-focus": `${condition.id}:op` },
      ...operators.map((operator) => element("option", { value: operator.key }, operator.label)),
    );
    if (!operatorOf(condition, this.catalogue)) select.prepend(element("option", { value: "" }, this.labels.choose ?? ""));
    select.value = condition.op;
    select.addEventListener("change", () => {
      chooseOperator(condition, select.value, this.catalogue);
      this.redraw(`${condition.id}:op`);
    });
    return select;
  }

  private negator(rule: Rule): HTMLElement {
    const negate = this.toggle(this.labels.not ?? "", rule.negated, `${rule.id}:not`);
    negate.title = this.labels.negate ?? "";
    negate.classList.add("rule-not");
    negate.addEventListener("click", () => {
      rule.negated = !rule.negated;
      this.redraw(`${rule.id}:not`);
    });
    return negate;
  }

  private tools(rule: Rule): HTMLElement {
    const shift = (step: -1 | 1, key: string) => () => {
      if (move(this.root, rule, step)) this.redraw(`${rule.id}:${key}`, this.labels.moved);
    };
    return element(
      "span",
      { class: "rule-tools" },
      this.tool("arrow-up", "move_up", `${rule.id}:up`, shift(-1, "up")),
      this.tool("arrow-down", "move_down", `${rule.id}:down`, shift(1, "down")),
      this.tool("copy", "duplicate", `${rule.id}:copy`, () => {
        const made = duplicate(this.root, rule);
        this.redraw(made.kind === "condition" ? `${made.id}:field` : `${made.id}:all`);
      }),
      this.tool("trash", "remove", `${rule.id}:remove`, () => {
        const parent = parentOf(this.root, rule.id) ?? this.root;
        remove(this.root, rule);
        this.redraw(`${parent.id}:add-condition`, this.labels.removed);
      }),
    );
  }

  private adder(group: Group, kind: "condition" | "group"): HTMLElement {
    const button = element(
      "button",
      { type: "button", class: "btn btn-sm", "data-focus": `${group.id}:add-${kind}` },
      icon(kind === "condition" ? "plus" : "folder"),
      this.labels[`add_${kind}`] ?? "",
    );
    button.addEventListener("click", () => {
      const first = newCondition();
      group.items.push(kind === "condition" ? first : { ...newGroup([first]), mode: group.mode === "all" ? "any" : "all" });
      this.redraw(`${first.id}:field`);
    });
    return button;
  }

  private toggle(text: string, on: boolean, focusKey: string): HTMLButtonElement {
    return element(
      "button",
      { type: "button", class: on ? "btn btn-sm is-on" : "btn btn-sm", "aria-pressed": String(on), "data-focus": focusKey },
      text,
    );
  }

  private tool(drawing: string, label: string, focusKey: string, act: () => void): HTMLElement {
    const words = this.labels[label] ?? "";
    const button = element(
      "button",
      { type: "button", class: "btn btn-sm btn-icon btn-ghost", "aria-label": words, title: words, "data-focus": focusKey },
      icon(drawing),
    );
    button.addEventListener("click", act);
    return button;
  }

  // ---- Dragging (the buttons do the same from the keyboard) ----

  private handle(rule: Rule): HTMLElement {
    const grip = element("span", { class: "rule-grip", draggable: "true", title: this.labels.drag, "aria-hidden": "true" });
    grip.append(icon("grip-vertical"));
    grip.addEventListener("dragstart", (event) => {
      this.dragged = rule;
      const box = grip.closest<HTMLElement>("[data-rule]");
      event.dataTransfer?.setData("text/plain", String(rule.id));
      if (box) event.dataTransfer?.setDragImage(box, 10, 10);
    });
    grip.addEventListener("dragend", () => {
      this.dragged = undefined;
      this.clearDropMarks();
    });
    return grip;
  }

  private acceptDrop(box: HTMLElement, rule: Rule): void {
    const below = (event: DragEvent) => {
      const { top, height } = box.getBoundingClientRect();
      return event.clientY > top + height / 2;
    };
    box.addEventListener("dragover", (event) => {
      if (!this.dragged || contains(this.dragged, rule.id)) return;
      event.preventDefault();
      event.stopPropagation();
      this.clearDropMarks();
      box.classList.add(below(event) ? "drop-after" : "drop-before");
    });
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      event.stopPropagation();
      const { dragged } = this;
      if (dragged && place(this.root, dragged, rule, below(event))) this.redraw(undefined, this.labels.moved);
    });
  }

  private clearDropMarks(): void {
    for (const marked of this.tree.querySelectorAll(".drop-before, .drop-after")) {
      marked.classList.remove("drop-before", "drop-after");
    }
  }
}

const SVG = "http://www.w3.org/2000/svg";
const sprite = document.querySelector<HTMLMetaElement>('meta[name="icons"]')?.content ?? "";

function icon(name: string): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
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
