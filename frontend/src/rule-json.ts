/** The rule's way from and to JSON, and at which path of the JSON each part of the tree stands (all[1].where.any[0]). */
import {
  isComplete, newCondition, newGroup, newSeed, nextId, relatedKind, takeIsComplete,
  type Catalogue, type Fields, type Group, type Rule, type Take, type Value,
} from "./rule-tree";

export type Json = {
  all?: Json[]; any?: Json[]; not?: Json; take?: TakeJson;
  field?: string; op?: string; value?: Value;
  related?: string; where?: Json; of?: string | null;
};
type TakeJson = { count?: number; percent?: number; by?: string; order?: string; random?: number };
export type Paths = Map<string, number>;

const join = (path: string, key: string) => (path ? `${path}.${key}` : key);

/** The tree of a rule. Throws where the text is no JSON, or JSON of another shape than a rule's. */
export function readRule(text: string): { root: Group; paths: Paths } {
  const paths: Paths = new Map();
  if (!text.trim()) return { root: newGroup(), paths };
  const rule = read(JSON.parse(text) as Json, "", paths);
  return { root: rule.kind === "group" ? rule : newGroup([rule]), paths };
}

function read(json: Json, path: string, paths: Paths): Rule {
  const rule = readOne(json, path, paths);
  paths.set(path, rule.id);
  return rule;
}

function readOne(json: Json, path: string, paths: Paths): Rule {
  if (typeof json !== "object" || json === null) throw new Error(path);
  const known = (...keys: string[]) => Object.keys(json).every((key) => keys.includes(key));
  if (json.not !== undefined && known("not")) {
    const inner = read(json.not, join(path, "not"), paths);
    inner.negated = !inner.negated;
    return inner;
  }
  for (const mode of ["all", "any"] as const) {
    const items = json[mode];
    if (!Array.isArray(items) || !known(mode, "take")) continue;
    const place = join(path, mode);
    const group = newGroup(items.map((item, index) => read(item, `${place}[${index}]`, paths)));
    group.mode = mode;
    if (json.take) group.take = readTake(json.take, join(path, "take"));
    return group;
  }
  if (typeof json.related === "string" && known("related", "where", "op", "value", "of")) {
    const where = json.where ? read(json.where, join(path, "where"), paths) : newGroup();
    return {
      id: nextId(), kind: "related", negated: false, related: json.related, op: json.op ?? "",
      value: json.value, of: json.of ?? null, where: where.kind === "group" ? where : newGroup([where]),
    };
  }
  if (typeof json.field === "string" && known("field", "op", "value")) {
    return { ...newCondition(), field: json.field, op: json.op ?? "", value: json.value };
  }
  throw new Error(path);
}

function readTake(json: TakeJson, path: string): Take {
  if (typeof json !== "object" || json === null) throw new Error(path);
  const random = json.random !== undefined;
  const way = json.percent !== undefined ? "percent" : random ? "count" : json.order === "least" ? "least" : "most";
  return { way, amount: json.percent ?? json.count, by: json.by ?? "", seed: json.random ?? newSeed() };
}

/** The rule without what is not finished; `json` is undefined where nothing is left. */
export function writeRule(root: Group, catalogue: Catalogue): { json: Json | undefined; paths: Paths } {
  const paths: Paths = new Map();
  return { json: write(root, "", catalogue.fields, catalogue, paths), paths };
}

function write(rule: Rule, path: string, fields: Fields, catalogue: Catalogue, paths: Paths): Json | undefined {
  const place = rule.negated ? join(path, "not") : path;
  let json: Json | undefined;
  if (rule.kind === "group") json = writeGroup(rule, place, fields, catalogue, paths);
  else if (isComplete(rule, fields, catalogue)) {
    const known = rule.value !== undefined && rule.value !== null;
    if (rule.kind === "condition") json = { field: rule.field, op: rule.op, ...(known ? { value: rule.value } : {}) };
    else {
      const rows = relatedKind(rule, catalogue)?.fields ?? [];
      const where = write(rule.where, join(place, "where"), rows, catalogue, paths) ?? { all: [] };
      json = { related: rule.related, where, op: rule.op, value: rule.value };
      if (rule.of) json.of = rule.of;
    }
  }
  if (!json) return undefined;
  paths.set(path, rule.id);
  paths.set(place, rule.id);
  return rule.negated ? { not: json } : json;
}

function writeGroup(group: Group, path: string, fields: Fields, catalogue: Catalogue, paths: Paths): Json | undefined {
  const items: Json[] = [];
  const place = join(path, group.mode);
  for (const item of group.items) {
    const json = write(item, `${place}[${items.length}]`, fields, catalogue, paths);
    if (json) items.push(json);
  }
  const take = group.take && takeIsComplete(group.take) ? writeTake(group.take) : undefined;
  if (!items.length && !take) return undefined;
  return { [group.mode]: items, ...(take ? { take } : {}) };
}

function writeTake({ way, amount, by, seed }: Take): TakeJson {
  if (way === "percent") return { percent: amount, random: seed };
  if (way === "count") return { count: amount, random: seed };
  return { count: amount, by, order: way };
}

/** The part of the tree that a path of the server ("all[1].value") is about: the nearest one above it. */
export function ruleAt(path: string, paths: Paths): number | undefined {
  for (let place = path; ; place = place.replace(/\.?[^.[\]]+$|\[\d+\]$/, "")) {
    const id = paths.get(place);
    if (id !== undefined || !place) return id;
  }
}
