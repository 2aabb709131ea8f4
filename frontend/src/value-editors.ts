/** The control for a condition's value, by what its operator takes. */
import { combobox } from "./combobox";
import { numberListUpload } from "./number-lists";
import { element } from "./page";
import type { Choice, Scalar, Value, ValueKind } from "./rule-tree";
import { valueList } from "./value-list";

export type Labels = Record<string, string>;

/** What is asked about: a field of the catalogue, or a number of related rows. */
export interface Asked { key: string; label: string; type: string; choices: Choice[] | null; search?: string | null }
export type FindChoices = (field: string, asked: { typed?: string; values?: Scalar[] }) => Promise<Choice[]>;
export interface Settings {
  kind: ValueKind;
  field: Asked;
  value: Value;
  labels: Labels;
  focusKey: string;
  /** Where a file of client numbers is sent to; there are no such lists without it. */
  uploadUrl?: string;
  findChoices?: FindChoices;
  change: (value: Value) => void;
}

export function valueEditor(settings: Settings): HTMLElement | null {
  const { kind, field, value, labels, focusKey, change } = settings;
  const name = `${field.label}: ${labels.value}`;
  switch (kind) {
    case "none":
      return null;
    case "number":
      return numberInput(name, value, focusKey, change);
    case "days":
      return element(
        "span",
        { class: "value-with-unit value-days" },
        input("number", `${name} (${labels.days})`, value, focusKey, (text) => change(numeric(text)), { step: 1, min: 0 }),
        element("span", {}, labels.days ?? ""),
      );
    case "date":
      return input("date", name, value, focusKey, change);
    case "range":
    case "daterange":
      return range(settings, name);
    case "period":
      return fewChoices(settings, name);
    case "choice":
      return field.search || (field.choices?.length ?? 0) > 8 ? manyChoices(settings, name) : fewChoices(settings, name);
    case "choices":
      return choices(settings, name);
    case "list":
      return valueList(settings, name);
    default:
      return text(settings, name);
  }
}

function numeric(typed: string): number | undefined {
  return typed.trim() === "" ? undefined : Number(typed);
}

function input(
  type: string,
  name: string,
  value: Value,
  focusKey: string,
  change: (text: string) => void,
  extra: Record<string, string | number> = {},
): HTMLInputElement {
  const made = element("input", {
    type,
    class: `form-control value-${type}`,
    "aria-label": name,
    "data-focus": focusKey,
    autocomplete: "off",
    ...(type === "number" ? { step: "any", inputmode: "decimal" } : {}),
    ...extra,
  });
  if (value !== undefined && value !== null) made.value = String(value);
  made.addEventListener("input", () => change(made.value));
  made.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  return made;
}

const LONG_NUMBER = 10_000;

/** A number; a long one is said again with its thousands apart, because 1000000 and 10000000 look alike. */
export function numberInput(name: string, value: Value, focusKey: string, change: (value: number | undefined) => void): HTMLElement {
  const said = element("span", { class: "value-said", "aria-hidden": "true" });
  const say = (number: number | undefined) => {
    said.textContent =
      number !== undefined && Math.abs(number) >= LONG_NUMBER ? number.toLocaleString(document.documentElement.lang || undefined) : "";
  };
  const made = input("number", name, value, focusKey, (typed) => {
    const number = numeric(typed);
    say(number);
    change(number);
  });
  say(typeof value === "number" ? value : undefined);
  return element("span", { class: "value-number-said" }, made, said);
}

function text({ field, value, focusKey, change }: Settings, name: string): HTMLElement {
  const made = input("text", name, value, focusKey, change);
  const offered = suggestions(made, field, focusKey);
  return offered ? element("span", { class: "value-with-unit" }, made, offered) : made;
}

/** Frequent values to pick from while typing; any other may be typed as well. */
export function suggestions(typed: HTMLInputElement, field: Asked, focusKey: string): HTMLElement | null {
  if (!field.choices?.length) return null;
  const id = `choices-${field.key.replace(/\W/g, "-")}-${focusKey.replace(/\W/g, "-")}`;
  typed.setAttribute("list", id);
  const options = field.choices.map((choice) => element("option", { value: String(choice.value) }, choice.label));
  return element("datalist", { id }, ...options);
}

function range({ kind, value, labels, focusKey, change }: Settings, name: string): HTMLElement {
  const ends: (Scalar | undefined)[] = Array.isArray(value) ? [value[0], value[1]] : [undefined, undefined];
  const set = (index: number, end: Scalar | undefined) => {
    ends[index] = end === "" ? undefined : end;
    change(ends.every((one) => one === undefined) ? undefined : ([...ends] as Scalar[]));
  };
  const editor = (index: number, label: string, key: string) =>
    kind === "range"
      ? numberInput(label, ends[index], key, (number) => set(index, number))
      : input("date", label, ends[index], key, (typed) => set(index, typed));
  return element(
    "span",
    { class: "value-with-unit" },
    editor(0, `${name}, ${labels.from}`, focusKey),
    element("span", {}, labels.to ?? ""),
    editor(1, `${name}, ${labels.until}`, `${focusKey}-end`),
  );
}

function fewChoices({ field, value, labels, focusKey, change }: Settings, name: string): HTMLElement {
  const offered = field.choices ?? [];
  const select = element(
    "select",
    { class: "form-select", "aria-label": name, "data-focus": focusKey },
    element("option", { value: "" }, labels.choose ?? ""),
    ...offered.map((choice, index) => element("option", { value: index }, choice.label)),
  );
  const chosen = offered.findIndex((choice) => choice.value === value);
  if (chosen >= 0) select.value = String(chosen);
  select.addEventListener("change", () => change(select.value === "" ? undefined : offered[Number(select.value)]?.value));
  return select;
}

/** How choices that are not on the page are found; what is found stays known, so that its name can be shown. */
function searching({ field, labels, findChoices }: Settings) {
  const { search } = field;
  if (!search || !findChoices) return {};
  const find = async (typed: string) => optionsOf(remember(field, await findChoices(search, { typed })));
  return { find, searching: labels.searching, failed: labels.search_failed };
}

function remember(field: Asked, found: Choice[]): Choice[] {
  const known = new Set((field.choices ??= []).map(({ value }) => value));
  field.choices.push(...found.filter(({ value }) => !known.has(value)));
  return found;
}

function manyChoices(settings: Settings, name: string): HTMLElement {
  const { field, value, labels, focusKey, change } = settings;
  return combobox<Scalar>({
    ...searching(settings),
    options: optionsOf(field.choices ?? []),
    chosen: Array.isArray(value) ? undefined : (value ?? undefined),
    label: name,
    placeholder: labels.choose ?? "",
    nothing: labels.nothing_found ?? "",
    more: labels.more,
    focusKey,
    choose: change,
  });
}

const optionsOf = (offered: Choice[]) => offered.map(({ value, label, hint }) => ({ value, label, note: hint }));

/** Several of the choices, each a chip with its own remove button. */
function choices(settings: Settings, name: string): HTMLElement {
  const { field, value, labels, focusKey, change, uploadUrl, findChoices } = settings;
  const offered = (field.choices ??= []);
  let values: Scalar[] = Array.isArray(value) ? [...value] : [];
  const list = element("span", { class: "chips" });
  const box = element("span", { class: "chips-box" }, list);

  const set = (next: Scalar[]) => {
    values = next;
    change(values.length ? values : undefined);
    draw();
  };

  function draw(): void {
    list.replaceChildren(
      ...values.map((one) => {
        const label = offered.find((choice) => choice.value === one)?.label ?? String(one);
        return chip(label, labels, () => {
          set(values.filter((other) => other !== one));
          box.querySelector<HTMLElement>("input")?.focus();
        });
      }),
    );
  }

  const add = (one: Scalar) => set([...new Set([...values, one])]);
  if (offered.length || field.search || field.key !== NUMBER_LIST) {
    box.append(
      combobox<Scalar>({
        ...searching(settings),
        options: optionsOf(offered),
        label: name,
        placeholder: labels.add_value ?? "",
        nothing: labels.nothing_found ?? "",
        more: labels.more,
        focusKey,
        clears: true,
        choose: add,
      }),
    );
  }
  if (field.key === NUMBER_LIST && uploadUrl) {
    box.append(
      numberListUpload(uploadUrl, labels, (uploaded) => {
        offered.push(uploaded);
        add(uploaded.value);
      }),
    );
  }
  draw();
  // Values that were written as JSON: their names follow.
  const unnamed = values.filter((one) => !offered.some((choice) => choice.value === one));
  if (unnamed.length && field.search && findChoices) {
    void findChoices(field.search, { values: unnamed }).then((found) => (remember(field, found), draw()), () => undefined);
  }
  return box;
}

const NUMBER_LIST = "number_list";

export function chip(label: string, labels: Labels, remove: () => void): HTMLElement {
  const off = element("button", { type: "button", class: "chip-remove", "aria-label": `${labels.remove}: ${label}` }, "×");
  off.addEventListener("click", remove);
  return element("span", { class: "chip" }, label, off);
}
