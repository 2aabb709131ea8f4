/**
 * The rule of a segment as a tree that can be edited: groups of conditions over the client, and conditions on related
 * rows ("at least 2 transactions where ..."), each with a group of its own over the fields of those rows.
 */

export type Scalar = string | number | boolean;
export type Value = Scalar | Scalar[] | null | undefined;
export type ValueKind =
  | "none" | "text" | "number" | "date" | "days" | "list" | "range" | "daterange" | "period" | "choice" | "choices";

export interface Choice { value: Scalar; label: string; hint?: string | null }
/** `choices` are the values it takes, whatever the field. */
export interface Operator { key: string; label: string; value: ValueKind; choices?: Choice[] }
export interface Field {
  key: string;
  label: string;
  group: string;
  type: string;
  choices: Choice[] | null;
  /** The field's name in a search, where there are more choices than these: they are found by typing. */
  search?: string | null;
  operators: Operator[];
  /** The label in the other languages, to be found by. */
  also?: string;
}
export interface Named { key: string; label: string }
/** A kind of rows that belong to a client: how many of them, or the sum of one of their numbers, is compared. */
export interface RelatedKind {
  key: string;
  label: string;
  group: string;
  also?: string;
  fields: Field[];
  operators: Operator[];
  sums: Named[];
}
export interface Catalogue {
  groups: Named[];
  fields: Field[];
  related: RelatedKind[];
  /** The fields by which the first of a group may be taken. */
  take: { by: Named[]; max: number };
  limits: { depth: number; conditions: number };
}

export interface Condition { id: number; kind: "condition"; negated: boolean; field: string; op: string; value: Value }
export interface Related {
  id: number;
  kind: "related";
  negated: boolean;
  related: string;
  op: string;
  value: Value;
  /** The row field whose sum is compared; null for the number of rows. */
  of: string | null;
  where: Group;
}
export type TakeWay = "most" | "least" | "count" | "percent";
export interface Take { way: TakeWay; amount: number | undefined; by: string; seed: number }
export interface Group {
  id: number;
  kind: "group";
  negated: boolean;
  mode: "all" | "any";
  items: Rule[];
  take?: Take;
}
export type Rule = Condition | Related | Group;

let lastId = 0;
export const nextId = (): number => ++lastId;

export function newCondition(): Condition {
  return { id: nextId(), kind: "condition", negated: false, field: "", op: "", value: undefined };
}

export function newGroup(items: Rule[] = []): Group {
  return { id: nextId(), kind: "group", negated: false, mode: "all", items };
}

export function newRelated(kind: RelatedKind): Related {
  const op = kind.operators.find((operator) => operator.key === "gte") ?? kind.operators[0];
  const first: Value = op?.value === "number" ? 1 : undefined;
  return { id: nextId(), kind: "related", negated: false, related: kind.key, op: op?.key ?? "", value: first, of: null, where: newGroup() };
}

export function newTake(): Take {
  return { way: "most", amount: 100, by: "", seed: newSeed() };
}

export function newSeed(): number {
  return Math.floor(Math.random() * (2 ** 31 - 1));
}

// ---- What the catalogue says of a rule ----

export type Fields = readonly Field[];

export function relatedKind(rule: Related, catalogue: Catalogue): RelatedKind | undefined {
  return catalogue.related.find((kind) => kind.key === rule.related);
}

export function fieldOf(condition: Condition, fields: Fields): Field | undefined {
  return fields.find((field) => field.key === condition.field);
}

export function operatorOf(condition: Condition, fields: Fields): Operator | undefined {
  return fieldOf(condition, fields)?.operators.find((operator) => operator.key === condition.op);
}

/** A field or kind that the catalogue no longer knows is left as it is, so that the server can say what became of it. */
export function isComplete(rule: Condition | Related, fields: Fields, catalogue: Catalogue): boolean {
  if (rule.kind === "related") {
    const kind = relatedKind(rule, catalogue);
    const operator = kind?.operators.find(({ key }) => key === rule.op);
    return !kind || (operator !== undefined && fits(rule.value, operator.value));
  }
  if (!rule.field) return false;
  if (!fieldOf(rule, fields)) return true;
  const operator = operatorOf(rule, fields);
  return operator !== undefined && fits(rule.value, operator.value);
}

function fits(value: Value, kind: ValueKind): boolean {
  const filled = (one: Value) => one !== undefined && one !== null && one !== "" && !Number.isNaN(one);
  switch (kind) {
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

export function takeIsComplete(take: Take): boolean {
  const amount = take.amount ?? 0;
  if (take.way === "percent") return amount > 0 && amount <= 100;
  return Number.isInteger(amount) && amount > 0 && (take.way === "count" || take.by !== "");
}

export function chooseField(condition: Condition, key: string, fields: Fields): void {
  const before = operatorOf(condition, fields);
  const typeBefore = fieldOf(condition, fields)?.type;
  condition.field = key;
  const field = fieldOf(condition, fields);
  const same = field?.operators.find((operator) => operator.key === condition.op);
  const after = same ?? field?.operators[0];
  condition.op = after?.key ?? "";
  const keeps = before && before.value === after?.value && typeBefore === field?.type && !field?.choices && !field?.search;
  if (!keeps) condition.value = undefined;
}

export function chooseOperator(rule: Condition | Related, key: string, operators: readonly Operator[]): void {
  const kindOf = (op: string) => operators.find((operator) => operator.key === op)?.value;
  const before = kindOf(rule.op);
  rule.op = key;
  const after = kindOf(key);
  if (before === after) return;
  const { value } = rule;
  const many = after === "list" || after === "choices";
  const wasMany = before === "list" || before === "choices";
  if (many && !wasMany && !Array.isArray(value) && value !== undefined && value !== null) rule.value = [value];
  else if ((after === "text" || after === "choice") && wasMany && Array.isArray(value)) rule.value = value[0];
  else rule.value = undefined;
}

// ---- Finding one's way ----

/** A condition with the fields it may ask about. */
export interface Leaf { rule: Condition | Related; fields: Fields }

export function* leavesOf(rule: Rule, catalogue: Catalogue, fields: Fields = catalogue.fields): Generator<Leaf> {
  if (rule.kind === "group") {
    for (const item of rule.items) yield* leavesOf(item, catalogue, fields);
    return;
  }
  yield { rule, fields };
  if (rule.kind === "related") yield* leavesOf(rule.where, catalogue, relatedKind(rule, catalogue)?.fields ?? []);
}

export function* groupsOf(rule: Rule): Generator<Group> {
  if (rule.kind === "related") yield* groupsOf(rule.where);
  if (rule.kind !== "group") return;
  yield rule;
  for (const item of rule.items) yield* groupsOf(item);
}

/** The rule with this id, wherever it is. */
export function find(root: Rule, id: number): Rule | undefined {
  if (root.id === id) return root;
  const below = root.kind === "group" ? root.items : root.kind === "related" ? [root.where] : [];
  for (const one of below) {
    const found = find(one, id);
    if (found) return found;
  }
  return undefined;
}

/** The group that holds it; none for the root and for the group of a condition on related rows, which do not move. */
export function parentOf(root: Group, id: number): Group | undefined {
  return [...groupsOf(root)].find((group) => group.items.some((item) => item.id === id));
}

export function contains(rule: Rule, id: number): boolean {
  return find(rule, id) !== undefined;
}

/** The kind of related rows that a group asks about; "" for the client. Rules move only between groups of one scope. */
export function scopeOf(root: Rule, id: number, scope = ""): string | undefined {
  if (root.id === id) return scope;
  if (root.kind === "related") return scopeOf(root.where, id, root.related);
  if (root.kind !== "group") return undefined;
  for (const item of root.items) {
    const found = scopeOf(item, id, scope);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** How deep groups and negations are nested at the deepest place, as the server counts. */
export function depthOf(rule: Rule): number {
  const own = rule.negated ? 1 : 0;
  if (rule.kind === "condition") return own;
  if (rule.kind === "related") return own + 1 + depthOf(rule.where);
  return own + 1 + Math.max(0, ...rule.items.map(depthOf));
}

/** How deep a place inside this group is. */
export function depthAt(root: Rule, id: number): number {
  const own = (root.negated ? 1 : 0) + (root.kind === "condition" ? 0 : 1);
  if (root.id === id) return own;
  const below = root.kind === "group" ? root.items : root.kind === "related" ? [root.where] : [];
  const holder = below.find((one) => contains(one, id));
  return own + (holder ? depthAt(holder, id) : 0);
}

// ---- Changing the tree ----

export function remove(root: Group, rule: Rule): void {
  const parent = parentOf(root, rule.id);
  parent?.items.splice(parent.items.indexOf(rule), 1);
}

export function replace(root: Group, rule: Rule, other: Rule): void {
  const parent = parentOf(root, rule.id);
  parent?.items.splice(parent.items.indexOf(rule), 1, other);
}

function copyOf<R extends Rule>(rule: R): R {
  const copy = structuredClone(rule);
  renumber(copy);
  return copy;
}

function renumber(rule: Rule): void {
  rule.id = nextId();
  if (rule.kind === "group") rule.items.forEach(renumber);
  if (rule.kind === "related") renumber(rule.where);
}

export function duplicate(root: Group, rule: Rule): Rule {
  const made = copyOf(rule);
  const parent = parentOf(root, rule.id) ?? root;
  parent.items.splice(parent.items.indexOf(rule) + 1, 0, made);
  return made;
}

export type Way = "up" | "down" | "in" | "out";

/**
 * One step. Up and down go as the eye reads: a condition enters a group it meets, and leaves its group at the edge, so
 * that these two reach every place. In is into the group beside it (the one before, else the one after); out is
 * behind the group it is in.
 */
export function move(root: Group, rule: Rule, way: Way, limit: number): boolean {
  const parent = parentOf(root, rule.id);
  if (!parent) return false;
  const at = parent.items.indexOf(rule);
  const into = (group: Group, position: number) => place(root, rule, group, position, limit);
  const leave = (after: boolean) => {
    const above = parentOf(root, parent.id);
    return above ? into(above, above.items.indexOf(parent) + (after ? 1 : 0)) : false;
  };
  if (way === "out") return leave(true);
  if (way === "in") {
    const [before, after] = [parent.items[at - 1], parent.items[at + 1]];
    if (before?.kind === "group") return into(before, before.items.length);
    return after?.kind === "group" ? into(after, 0) : false;
  }
  const step = way === "down" ? 1 : -1;
  const neighbour = parent.items[at + step];
  if (!neighbour) return leave(step > 0);
  if (neighbour.kind === "group" && rule.kind !== "group" && into(neighbour, step > 0 ? 0 : neighbour.items.length)) {
    return true;
  }
  return into(parent, step > 0 ? at + 2 : at - 1);
}

/** May this rule be put into that group: it asks about the same things, is not part of it, and does not get too deep. */
export function mayPlace(root: Group, rule: Rule, group: Group, limit: number): boolean {
  return (
    !contains(rule, group.id) &&
    scopeOf(root, rule.id) === scopeOf(root, group.id) &&
    depthAt(root, group.id) + depthOf(rule) <= limit
  );
}

/** Put a rule at a position of a group, counted before it leaves its old place. */
export function place(root: Group, rule: Rule, group: Group, position: number, limit: number): boolean {
  if (!mayPlace(root, rule, group, limit)) return false;
  const at = group.items.indexOf(rule);
  if (at >= 0 && (position === at || position === at + 1)) return false;
  remove(root, rule);
  group.items.splice(at >= 0 && at < position ? position - 1 : position, 0, rule);
  return true;
}
