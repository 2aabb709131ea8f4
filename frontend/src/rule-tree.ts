/**
 * The rule of a segment as a tree that can be edited, and its way from and to JSON:
 * group {"all": [...]} or {"any": [...]}, negation {"not": rule}, condition {"field", "op", "value"}.
 */

export type Scalar = string | number | boolean;
export type Value = Scalar | Scalar[] | null | undefined;
export type ValueKind =
  | "none" | "text" | "number" | "date" | "days" | "list" | "range" | "daterange" | "choice" | "choices";

export interface Choice { value: Scalar; label: string }
export interface Operator { key: string; label: string; value: ValueKind }
export interface Field {
  key: string;
  label: string;
  group: string;
  type: string;
  choices: Choice[] | null;
  operators: Operator[];
}
export interface Catalogue { groups: { key: string; label: string }[]; fields: Field[] }

export interface Condition { id: number; kind: "condition"; negated: boolean; field: string; op: string; value: Value }
export interface Group { id: number; kind: "group"; negated: boolean; mode: "all" | "any"; items: Rule[] }
export type Rule = Condition | Group;

type Json = { all?: Json[]; any?: Json[]; not?: Json; field?: string; op?: string; value?: Value };

let lastId = 0;

export function newCondition(): Condition {
  return { id: ++lastId, kind: "condition", negated: false, field: "", op: "", value: undefined };
}

export function newGroup(items: Rule[] = []): Group {
  return { id: ++lastId, kind: "group", negated: false, mode: "all", items };
}

export function parseRule(text: string): Group {
  const read = (json: Json): Rule => {
    if (json.not) {
      const inner = read(json.not);
      inner.negated = !inner.negated;
      return inner;
    }
    const items = json.all ?? json.any;
    if (items) return { ...newGroup(items.map(read)), mode: json.any ? "any" : "all" };
    return { ...newCondition(), field: json.field ?? "", op: json.op ?? "", value: json.value };
  };
  if (!text.trim()) return newGroup();
  const root = read(JSON.parse(text) as Json);
  return root.kind === "group" ? root : newGroup([root]);
}

/** The rule without conditions that are not finished; undefined where nothing is left. */
export function writeRule(rule: Rule, catalogue: Catalogue): Json | undefined {
  let json: Json | undefined;
  if (rule.kind === "group") {
    const items = rule.items.map((item) => writeRule(item, catalogue)).filter((item) => item !== undefined);
    if (items.length) json = { [rule.mode]: items };
  } else if (isComplete(rule, catalogue)) {
    json = { field: rule.field, op: rule.op };
    if (rule.value !== undefined && rule.value !== null) json.value = rule.value;
  }
  return json && rule.negated ? { not: json } : json;
}

export function fieldOf(condition: Condition, catalogue: Catalogue): Field | undefined {
  return catalogue.fields.find((field) => field.key === condition.field);
}

export function operatorOf(condition: Condition, catalogue: Catalogue): Operator | undefined {
  return fieldOf(condition, catalogue)?.operators.find((operator) => operator.key === condition.op);
}

/** A field that the catalogue no longer knows is left as it is, so that the server can say what became of it. */
export function isComplete(condition: Condition, catalogue: Catalogue): boolean {
  if (!condition.field) return false;
  if (!fieldOf(condition, catalogue)) return true;
  const operator = operatorOf(condition, catalogue);
  if (!operator) return false;
  const { value } = condition;
  const filled = (one: Value) => one !== undefined && one !== null && one !== "" && !Number.isNaN(one);
  switch (operator.value) {
    case "none":
      return true;
    case "list":
    case "choices":
      return Array.isArray(value) && value.length > 0;
    case "range":
    case "daterange":
      return Array.isArray(value) && value.length === 2 && value.every(filled) && value[0]! <= value[1]!;
    case "number":
    case "days":
      return typeof value === "number" && Number.isFinite(value);
    default:
      return filled(value) && !Array.isArray(value);
  }
}

export function chooseField(condition: Condition, key: string, catalogue: Catalogue): void {
  const before = operatorOf(condition, catalogue);
  const typeBefore = fieldOf(condition, catalogue)?.type;
  condition.field = key;
  const field = fieldOf(condition, catalogue);
  const same = field?.operators.find((operator) => operator.key === condition.op);
  const after = same ?? field?.operators[0];
  condition.op = after?.key ?? "";
  const keeps = before && before.value === after?.value && typeBefore === field?.type && !field?.choices;
  if (!keeps) condition.value = undefined;
}

export function chooseOperator(condition: Condition, key: string, catalogue: Catalogue): void {
  const before = operatorOf(condition, catalogue)?.value;
  condition.op = key;
  const after = operatorOf(condition, catalogue)?.value;
  if (before === after) return;
  const { value } = condition;
  const many = after === "list" || after === "choices";
  const wasMany = before === "list" || before === "choices";
  if (many && !wasMany && !Array.isArray(value) && value !== undefined && value !== null) condition.value = [value];
  else if ((after === "text" || after === "choice") && wasMany && Array.isArray(value)) condition.value = value[0];
  else condition.value = undefined;
}

export function* conditionsOf(rule: Rule): Generator<Condition> {
  if (rule.kind === "condition") yield rule;
  else for (const item of rule.items) yield* conditionsOf(item);
}

export function parentOf(root: Group, id: number): Group | undefined {
  for (const item of root.items) {
    if (item.id === id) return root;
    const found = item.kind === "group" ? parentOf(item, id) : undefined;
    if (found) return found;
  }
  return undefined;
}

export function contains(rule: Rule, id: number): boolean {
  return rule.id === id || (rule.kind === "group" && rule.items.some((item) => contains(item, id)));
}

export function remove(root: Group, rule: Rule): void {
  const parent = parentOf(root, rule.id);
  parent?.items.splice(parent.items.indexOf(rule), 1);
}

export function duplicate(root: Group, rule: Rule): Rule {
  const copy = (one: Rule): Rule =>
    one.kind === "group"
      ? { ...one, id: ++lastId, items: one.items.map(copy) }
      : { ...one, id: ++lastId, value: structuredClone(one.value) };
  const made = copy(rule);
  const parent = parentOf(root, rule.id) ?? root;
  parent.items.splice(parent.items.indexOf(rule) + 1, 0, made);
  return made;
}

/** One step up or down as the eye reads: a condition enters a group it meets, and leaves its group at the edge. */
export function move(root: Group, rule: Rule, step: -1 | 1): boolean {
  const parent = parentOf(root, rule.id);
  if (!parent) return false;
  const at = parent.items.indexOf(rule);
  const neighbour = parent.items[at + step];
  if (!neighbour) {
    const above = parentOf(root, parent.id);
    if (!above) return false;
    parent.items.splice(at, 1);
    above.items.splice(above.items.indexOf(parent) + (step > 0 ? 1 : 0), 0, rule);
    return true;
  }
  parent.items.splice(at, 1);
  if (neighbour.kind === "group" && rule.kind === "condition") {
    neighbour.items.splice(step > 0 ? 0 : neighbour.items.length, 0, rule);
  } else {
    parent.items.splice(at + step, 0, rule);
  }
  return true;
}

/** Put a rule before or after another one, wherever that is; never into itself. */
export function place(root: Group, rule: Rule, beside: Rule, after: boolean): boolean {
  const target = parentOf(root, beside.id);
  if (!target || contains(rule, beside.id)) return false;
  remove(root, rule);
  target.items.splice(target.items.indexOf(beside) + (after ? 1 : 0), 0, rule);
  return true;
}
