/** Draws the tree of a rule, and turns what people do to it into changes of the tree. */
import { combobox } from "./combobox";
import { element, icon } from "./page";
import { dragByGrip } from "./rule-dragging";
import {
  chooseField, chooseOperator, depthAt, duplicate, fieldOf, mayPlace, newCondition, newGroup,
  newRelated, newSeed, newTake, operatorOf, parentOf, place, find, relatedKind, remove, replace,
  type Catalogue, type Condition, type Fields, type Group, type Named, type Operator, type Related, type Rule, type Take, type TakeWay, type Way,
} from "./rule-tree";
import { numberInput, valueEditor, type FindChoices, type Labels } from "./value-editors";

/** What the drawing needs of the builder. */
export interface Desk {
  readonly catalogue: Catalogue;
  readonly labels: Labels;
  readonly uploadUrl: string | undefined;
  /** Choices of a field that are found by typing, or by the values chosen. */
  readonly findChoices: FindChoices;
  readonly tree: HTMLElement;
  root: Group;
  /** A value is another now; the shape of the tree is as before. Edits of one key in a row are undone together. */
  edited(key: string): void;
  /** The shape has changed: draw anew, put the focus where the person is working, say what happened. */
  reshaped(focusKey?: string, said?: string): void;
  /** Move a part one step and keep the focus at `focusKey`. */
  shift(rule: Rule, way: Way, focusKey: string): void;
}

const RELATED = "related:"; // marks a kind of rows among the fields to choose from
const TAKES: TakeWay[] = ["most", "least", "count", "percent"];

const capital = (text: string) => text.charAt(0).toLocaleUpperCase() + text.slice(1);

export class Drawing {
  constructor(private readonly desk: Desk) {}

  draw(): void {
    this.desk.tree.replaceChildren(this.group(this.desk.root, this.desk.catalogue.fields, "root"));
  }

  private say(key: string, values: Record<string, string | number> = {}): string {
    const text = this.desk.labels[key] ?? "";
    return text.replace(/\{(\w+)\}/g, (_whole, name: string) => String(values[name] ?? ""));
  }

  // ---- Groups ----

  private group(group: Group, fields: Fields, place: "root" | "where" | "inner"): HTMLElement {
    const mode = (key: "all" | "any") => {
      const button = this.toggle(this.say(`match_${key}`), group.mode === key, `${group.id}:${key}`);
      button.addEventListener("click", () => {
        group.mode = key;
        this.desk.reshaped(`${group.id}:${key}`);
      });
      return button;
    };
    const rows = place === "where" || fields !== this.desk.catalogue.fields;
    const lead = this.say(`${rows ? "rows" : "clients"}_who${group.negated ? "_not" : ""}`);
    const movable = place === "inner";
    const head = element(
      "div",
      { class: "rule-head" },
      ...(movable ? [this.grip(group, lead)] : []),
      element("span", { class: "rule-lead" }, lead),
      element("span", { class: "btn-group", role: "group", "aria-label": lead }, mode("all"), mode("any")),
      this.negator(group),
      ...(movable ? [this.tools(group)] : []),
    );
    const items = element("div", { class: "rule-items" });
    group.items.forEach((item, index) => {
      if (index) items.append(element("div", { class: "rule-between", "aria-hidden": "true" }, this.say(group.mode === "all" ? "and" : "or")));
      if (item.kind === "group") items.append(this.group(item, fields, "inner"));
      else items.append(this.leaf(item, fields));
    });
    if (!group.items.length) {
      const words = place === "root" ? "empty" : place === "where" ? "empty_where" : "empty_group";
      items.append(element("p", { class: "rule-empty" }, this.say(words)));
    }
    const foot = element("div", { class: "rule-add" }, this.adder(group, "condition"), this.adder(group, "group"));
    if (!rows && !group.take) foot.append(this.taker(group));
    return element(
      "div",
      { class: `rule-group is-${place}`, role: "group", "aria-label": lead, "data-rule": group.id },
      head,
      this.problem(),
      items,
      ...(group.take ? [this.take(group, group.take)] : []),
      foot,
    );
  }

  private adder(group: Group, kind: "condition" | "group"): HTMLElement {
    const { root, catalogue } = this.desk;
    const tooDeep = kind === "group" && depthAt(root, group.id) >= catalogue.limits.depth;
    const button = element(
      "button",
      {
        type: "button",
        class: "btn btn-sm",
        "data-focus": `${group.id}:add-${kind}`,
        disabled: tooDeep,
        title: tooDeep ? this.say("too_deep", { depth: catalogue.limits.depth }) : null,
      },
      icon(kind === "condition" ? "plus" : "folder"),
      this.say(`add_${kind}`),
    );
    button.addEventListener("click", () => {
      const first = newCondition();
      group.items.push(kind === "condition" ? first : { ...newGroup([first]), mode: group.mode === "all" ? "any" : "all" });
      this.desk.reshaped(`${first.id}:field`);
    });
    return button;
  }

  // ---- Only some of those found ----

  private taker(group: Group): HTMLElement {
    const button = element(
      "button",
      { type: "button", class: "btn btn-sm", "data-focus": `${group.id}:add-take` },
      icon("sort-descending"),
      this.say("add_take"),
    );
    button.addEventListener("click", () => {
      group.take = newTake();
      this.desk.reshaped(`${group.id}:take-way`);
    });
    return button;
  }

  private take(group: Group, take: Take): HTMLElement {
    const { fields, take: { by } } = this.desk.catalogue;
    const key = `${group.id}:take`;
    const way = element(
      "select",
      { class: "form-select rule-operator", "aria-label": this.say("take_way"), "data-focus": `${key}-way` },
      ...TAKES.map((one) => element("option", { value: one }, this.say(`take_${one}`))),
    );
    way.value = take.way;
    way.addEventListener("change", () => {
      if (way.value === "percent") take.amount = Math.min(take.amount ?? 10, 100);
      take.way = way.value as TakeWay;
      this.desk.reshaped(`${key}-way`);
    });
    const amount = numberInput(this.say(take.way === "percent" ? "take_share" : "take_amount"), take.amount, `${key}-amount`, (number) => {
      take.amount = number;
      this.desk.edited(`${key}-amount`);
    });
    const unit = element("span", {}, this.say(take.way === "percent" ? "percent" : "clients"));
    const parts = [element("span", { class: "rule-lead" }, this.say("take_only")), amount, unit, way];
    if (take.way === "most" || take.way === "least") {
      parts.push(
        combobox<string>({
          options: this.fieldOptions(fields.filter((field) => by.some(({ key: ranking }) => ranking === field.key))),
          chosen: take.by || undefined,
          label: this.say("take_by"),
          placeholder: this.say("take_by"),
          nothing: this.say("nothing_found"),
          focusKey: `${key}-by`,
          choose: (chosen) => {
            take.by = chosen;
            this.desk.edited(`${key}-by`);
          },
        }),
      );
    } else {
      const again = element("button", { type: "button", class: "btn btn-sm", "data-focus": `${key}-again` }, icon("refresh"), this.say("draw_again"));
      again.addEventListener("click", () => {
        take.seed = newSeed();
        this.desk.edited(`${key}-again`);
      });
      parts.push(again);
    }
    const off = this.tool("x", this.say("take_off"), `${key}-off`, () => {
      delete group.take;
      this.desk.reshaped(`${group.id}:add-take`, this.say("removed"));
    });
    return element("div", { class: "rule-take", role: "group", "aria-label": this.say("take_only") }, ...parts, element("span", { class: "rule-note" }), off);
  }

  // ---- Conditions ----

  private leaf(rule: Condition | Related, fields: Fields): HTMLElement {
    const asked = rule.kind === "related" ? relatedKind(rule, this.desk.catalogue) : fieldOf(rule, fields);
    const name = asked?.label ?? (rule.kind === "related" ? rule.related : rule.field || this.say("new_condition"));
    const parts = element("div", { class: "rule-parts" }, this.chooser(rule, fields));
    if (rule.kind === "related") this.relatedParts(rule, parts);
    else if (asked) {
      const operators = fieldOf(rule, fields)?.operators ?? [];
      parts.append(this.negator(rule), this.operatorChooser(rule, operators));
      const operator = operatorOf(rule, fields);
      if (operator) this.appendValue(parts, rule, operator, fieldOf(rule, fields)!);
    }
    parts.append(element("span", { class: "rule-note" }));
    const line = element("div", { class: "rule-line" }, this.grip(rule, name), parts, this.tools(rule));
    const box = element("div", { class: `rule-condition is-${rule.kind}`, role: "group", "aria-label": name, "data-rule": rule.id }, line, this.problem());
    if (rule.kind === "related" && asked) box.append(this.group(rule.where, relatedKind(rule, this.desk.catalogue)!.fields, "where"));
    return box;
  }

  private appendValue(parts: HTMLElement, rule: Condition | Related, operator: Operator, field: Parameters<typeof valueEditor>[0]["field"]): void {
    const editor = valueEditor({
      kind: operator.value,
      field: operator.choices ? { ...field, choices: operator.choices } : field,
      value: rule.value,
      labels: this.desk.labels,
      focusKey: `${rule.id}:value`,
      uploadUrl: this.desk.uploadUrl,
      findChoices: this.desk.findChoices,
      change: (value) => {
        rule.value = value;
        this.desk.edited(`${rule.id}:value`);
      },
    });
    if (editor) parts.append(element("div", { class: "rule-value" }, editor));
  }

  private relatedParts(rule: Related, parts: HTMLElement): void {
    const kind = relatedKind(rule, this.desk.catalogue);
    if (!kind) return;
    const { sums } = kind;
    parts.append(this.negator(rule));
    if (sums.length) {
      const of = element(
        "select",
        { class: "form-select rule-operator", "aria-label": this.say("counted_by"), "data-focus": `${rule.id}:of` },
        element("option", { value: "" }, this.say("number_of_rows")),
        ...sums.map((field) => element("option", { value: field.key }, this.say("sum_of", { field: field.label }))),
      );
      of.value = rule.of ?? "";
      of.addEventListener("change", () => {
        rule.of = of.value || null;
        this.desk.reshaped(`${rule.id}:of`);
      });
      parts.append(of);
    }
    parts.append(this.operatorChooser(rule, kind.operators));
    const operator = kind.operators.find((one) => one.key === rule.op);
    if (operator) this.appendValue(parts, rule, operator, { key: kind.key, label: kind.label, type: "number", choices: null });
  }

  private fieldOptions(fields: readonly (Named & { group: string; also?: string })[]) {
    const { groups } = this.desk.catalogue;
    const order = groups.map((group) => group.key);
    const names = new Map(groups.map((group) => [group.key, group.label]));
    return fields
      .map(({ key, label, group, also }) => ({ value: key, label, group: names.get(group), hint: `${key} ${also ?? ""}`, at: group }))
      .sort((one, other) => order.indexOf(one.at) - order.indexOf(other.at));
  }

  private chooser(rule: Condition | Related, fields: Fields): HTMLElement {
    const { catalogue } = this.desk;
    const overClients = fields === catalogue.fields;
    const kinds = overClients ? catalogue.related.map((kind) => ({ ...kind, key: RELATED + kind.key, label: this.say("rows_of", { kind: capital(kind.label) }) })) : [];
    const options = this.fieldOptions([...fields, ...kinds]);
    const chosen = rule.kind === "related" ? RELATED + rule.related : rule.field;
    if (chosen && !options.some((option) => option.value === chosen)) {
      options.push({ value: chosen, label: rule.kind === "related" ? rule.related : chosen, group: undefined, hint: "", at: "" });
    }
    return combobox<string>({
      options,
      chosen: chosen || undefined,
      label: this.say("field"),
      placeholder: this.say("choose_field"),
      nothing: this.say("nothing_found"),
      focusKey: `${rule.id}:field`,
      choose: (key) => this.choose(rule, key, fields),
    });
  }

  private choose(rule: Condition | Related, key: string, fields: Fields): void {
    const kind = this.desk.catalogue.related.find((one) => RELATED + one.key === key);
    let made: Rule = rule;
    if (kind) made = { ...newRelated(kind), id: rule.id, negated: rule.negated };
    else {
      if (rule.kind === "related") made = { ...newCondition(), id: rule.id, negated: rule.negated };
      chooseField(made as Condition, key, fields);
    }
    if (made !== rule) replace(this.desk.root, rule, made);
    this.desk.reshaped(`${rule.id}:${kind ? "value" : "op"}`);
  }

  private operatorChooser(rule: Condition | Related, operators: readonly Operator[]): HTMLElement {
    const select = element(
      "select",
      { class: "form-select rule-operator", "aria-label": this.say("operator"), "data-focus": `${rule.id}:op` },
      ...operators.map((operator) => element("option", { value: operator.key }, operator.label)),
    );
    if (!operators.some((operator) => operator.key === rule.op)) select.prepend(element("option", { value: "" }, this.say("choose")));
    select.value = rule.op;
    select.addEventListener("change", () => {
      chooseOperator(rule, select.value, operators);
      this.desk.reshaped(`${rule.id}:op`);
    });
    return select;
  }

  // ---- What every part has ----

  private problem(): HTMLElement {
    return element("div", { class: "rule-problem", role: "alert" });
  }

  private negator(rule: Rule): HTMLElement {
    const negate = this.toggle(this.say("not"), rule.negated, `${rule.id}:not`);
    negate.title = this.say("negate");
    negate.classList.add("rule-not");
    negate.addEventListener("click", () => {
      rule.negated = !rule.negated;
      this.desk.reshaped(`${rule.id}:not`);
    });
    return negate;
  }

  private tools(rule: Rule): HTMLElement {
    const { desk } = this;
    const shift = (way: "up" | "down") => this.tool(`arrow-${way}`, this.say(`move_${way}`), `${rule.id}:${way}`, () => {
      desk.shift(rule, way, `${rule.id}:${way}`);
    });
    return element(
      "span",
      { class: "rule-tools" },
      shift("up"),
      shift("down"),
      this.tool("copy", this.say("duplicate"), `${rule.id}:copy`, () => {
        const made = duplicate(desk.root, rule);
        desk.reshaped(made.kind === "group" ? `${made.id}:all` : `${made.id}:field`, this.say("duplicated"));
      }),
      this.tool("trash", this.say("remove"), `${rule.id}:remove`, () => {
        const parent = parentOf(desk.root, rule.id) ?? desk.root;
        remove(desk.root, rule);
        desk.reshaped(`${parent.id}:add-condition`, this.say("removed"));
      }),
    );
  }

  private grip(rule: Rule, name: string): HTMLElement {
    const { desk } = this;
    const label = `${this.say("drag")}: ${name}`;
    const grip = element(
      "button",
      { type: "button", class: "rule-grip", "aria-label": label, title: this.say("drag"), "data-focus": `${rule.id}:grip` },
      icon("grip-vertical"),
    );
    const limit = desk.catalogue.limits.depth;
    const groupWith = (id: number) => find(desk.root, id) as Group | undefined;
    dragByGrip(grip, rule.id, {
      tree: desk.tree,
      may: (_dragged, into) => {
        const group = groupWith(into);
        return group !== undefined && mayPlace(desk.root, rule, group, limit);
      },
      drop: (_dragged, landing) => {
        const group = groupWith(landing.group);
        if (group && place(desk.root, rule, group, landing.position, limit)) {
          desk.reshaped(`${rule.id}:grip`, this.whereIs(rule));
        }
      },
    });
    return grip;
  }

  /** For the ear: where a part that has been moved is now. */
  whereIs(rule: Rule): string {
    const group = parentOf(this.desk.root, rule.id) ?? this.desk.root;
    return this.say("moved", { at: group.items.indexOf(rule) + 1, of: group.items.length });
  }

  private toggle(text: string, on: boolean, focusKey: string): HTMLButtonElement {
    const kind = on ? "btn btn-sm is-on" : "btn btn-sm";
    return element("button", { type: "button", class: kind, "aria-pressed": String(on), "data-focus": focusKey }, text);
  }

  private tool(drawing: string, words: string, focusKey: string, act: () => void): HTMLElement {
    const button = element(
      "button",
      { type: "button", class: "btn btn-sm btn-icon btn-ghost", "aria-label": words, title: words, "data-focus": focusKey },
      icon(drawing),
    );
    button.addEventListener("click", act);
    return button;
  }
}
