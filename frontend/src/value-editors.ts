/** The control for a condition's value, by what its operator takes. */
import { combobox } from "./combobox";
import { element } from "./page";
import type { Choice, Field, Scalar, Value, ValueKind } from "./rule-tree";

export type Labels = Record<string, string>;

interface Settings {
  kind: ValueKind;
  field: Field;
  value: Value;
  labels: Labels;
  focusKey: string;
  change: (value: Value) => void;
}

export function valueEditor(settings: Settings): HTMLElement | null {
  const { kind, field, value, labels, focusKey, change } = settings;
  const name = `${field.label}: ${labels.value}`;
  switch (kind) {
    case "none":
      return null;
    case "number":
      return input("number", name, value, focusKey, (text) => change(numeric(text)));
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
    case "choice":
      return field.choices && field.choices.length > 8 ? manyChoices(settings, name) : fewChoices(settings, name);
    case "choices":
      return chips(settings, name, field.choices ?? []);
    case "list":
      return chips(settings, name, null);
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
  return made;
}

function text({ field, value, focusKey, change }: Settings, name: string): HTMLElement {
  const made = input("text", name, value, focusKey, change);
  made.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  const offered = suggestions(made, field, focusKey);
  return offered ? element("span", { class: "value-with-unit" }, made, offered) : made;
}

/** Frequent values to pick from while typing; any other may be typed as well. */
function suggestions(typed: HTMLInputElement, field: Field, focusKey: string): HTMLElement | null {
  if (!field.choices?.length) return null;
  const id = `choices-${field.key.replace(/\W/g, "-")}-${focusKey.replace(/\W/g, "-")}`;
  typed.setAttribute("list", id);
  const options = field.choices.map((choice) => element("option", { value: String(choice.value) }, choice.label));
  return element("datalist", { id }, ...options);
}

function range({ kind, value, labels, focusKey, change }: Settings, name: string): HTMLElement {
  const ends: (Scalar | undefined)[] = Array.isArray(value) ? [value[0], value[1]] : [undefined, undefined];
  const type = kind === "range" ? "number" : "date";
  const set = (index: number) => (typed: string) => {
    ends[index] = type === "number" ? numeric(typed) : typed || undefined;
    change(ends.every((end) => end === undefined) ? undefined : (ends as Scalar[]));
  };
  return element(
    "span",
    { class: "value-with-unit" },
    input(type, `${name}, ${labels.from}`, ends[0], focusKey, set(0)),
    element("span", {}, labels.to ?? ""),
    input(type, `${name}, ${labels.until}`, ends[1], `${focusKey}-end`, set(1)),
  );
}

function fewChoices({ field, value, labels, focusKey, change }: Settings, name: string): HTMLElement {
  const choices = field.choices ?? [];
  const select = element(
    "select",
    { class: "form-select", "aria-label": name, "data-focus": focusKey },
    element("option", { value: "" }, labels.choose ?? ""),
    ...choices.map((choice, index) => element("option", { value: index }, choice.label)),
  );
  const chosen = choices.findIndex((choice) => choice.value === value);
  if (chosen >= 0) select.value = String(chosen);
  select.addEventListener("change", () => change(select.value === "" ? undefined : choices[Number(select.value)]?.value));
  return select;
}

function manyChoices({ field, value, labels, focusKey, change }: Settings, name: string): HTMLElement {
  return combobox<Scalar>({
    options: field.choices ?? [],
    chosen: Array.isArray(value) ? undefined : (value ?? undefined),
    label: name,
    placeholder: labels.choose ?? "",
    nothing: labels.nothing_found ?? "",
    focusKey,
    choose: change,
  });
}

/** Several values, each a chip with its own remove button; without choices any words may be typed. */
function chips({ field, value, labels, focusKey, change }: Settings, name: string, choices: Choice[] | null): HTMLElement {
  let values: Scalar[] = Array.isArray(value) ? [...value] : [];
  const list = element("span", { class: "chips" });
  const box = element("span", { class: "chips-box" }, list);

  const set = (next: Scalar[]) => {
    values = next;
    change(values.length ? values : undefined);
    draw();
  };
  const add = (...added: Scalar[]) => set([...new Set([...values, ...added])]);

  function draw(): void {
    list.replaceChildren(
      ...values.map((one) => {
        const label = choices?.find((choice) => choice.value === one)?.label ?? String(one);
        const off = element("button", { type: "button", class: "chip-remove", "aria-label": `${labels.remove}: ${label}` }, "×");
        off.addEventListener("click", () => {
          set(values.filter((other) => other !== one));
          box.querySelector<HTMLElement>("input")?.focus();
        });
        return element("span", { class: "chip" }, label, off);
      }),
    );
  }

  if (choices) {
    const options = choices.map((choice) => ({ value: choice.value, label: choice.label }));
    const adder = { options, label: name, placeholder: labels.add_value ?? "", nothing: labels.nothing_found ?? "" };
    box.append(combobox<Scalar>({ ...adder, focusKey, clears: true, choose: (one) => add(one) }));
  } else {
    const typed = element("input", {
      type: "text",
      class: "form-control",
      "aria-label": name,
      placeholder: labels.add_values,
      autocomplete: "off",
      "data-focus": focusKey,
    });
    const numbers = field.type === "number" || field.type === "money" || field.type === "integer";
    const takeTyped = () => {
      const words = typed.value.split(/[,;，；、\n\t]+/).map((word) => word.trim()).filter(Boolean);
      const read = numbers ? words.map(Number).filter(Number.isFinite) : words;
      typed.value = "";
      if (read.length) add(...read);
    };
    typed.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        takeTyped();
      } else if (event.key === "Backspace" && !typed.value && values.length) {
        set(values.slice(0, -1));
      }
    });
    typed.addEventListener("input", () => /[,;，；、]$/.test(typed.value) && takeTyped());
    typed.addEventListener("blur", takeTyped);
    const offered = suggestions(typed, field, focusKey);
    box.append(typed, ...(offered ? [offered] : []));
  }
  draw();
  return box;
}
