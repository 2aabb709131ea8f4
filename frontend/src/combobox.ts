/** A text field that filters a grouped list (the "combobox with list autocomplete" pattern of WAI-ARIA). */
import { element } from "./page";

/** `hint` is searched but not shown; `note` (a count, say) is shown but not searched. */
export interface Option<T> { value: T; label: string; group?: string; hint?: string; note?: string | null }

/** More than the eye goes through; typing finds the others. */
const SHOWN = 100;
/** So long the fingers rest before a search is sent. */
const QUIET_MS = 150;

interface Settings<T> {
  options: Option<T>[];
  chosen?: T;
  label: string;
  placeholder: string;
  nothing: string;
  /** Said below a list that is cut off. */
  more?: string;
  focusKey?: string;
  /** Empty the field after each choice: for adding to a list. */
  clears?: boolean;
  choose: (value: T) => void;
  /** Where there are too many to be given beforehand: finds some by what is typed. `options` names the chosen one. */
  find?: (typed: string) => Promise<Option<T>[]>;
  searching?: string;
  failed?: string;
}

let lastId = 0;

export function combobox<T>(settings: Settings<T>): HTMLElement {
  const id = `combobox-${++lastId}`;
  const chosenLabel = () => settings.options.find((option) => option.value === settings.chosen)?.label ?? "";
  const input = element("input", {
    type: "text",
    class: "form-control",
    role: "combobox",
    autocomplete: "off",
    spellcheck: "false",
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": id,
    "aria-label": settings.label,
    placeholder: settings.placeholder,
    "data-focus": settings.focusKey,
  });
  input.value = settings.clears ? "" : chosenLabel();
  const list = element("div", { id, class: "combobox-list", role: "listbox", "aria-label": settings.label, hidden: true });
  const box = element("div", { class: "combobox" }, input, list);
  let shown: { node: HTMLElement; option: Option<T> }[] = [];
  let active = -1;
  let search = 0;

  function matching(): Option<T>[] {
    const typed = input.value.trim().toLocaleLowerCase();
    if (!typed || (!settings.clears && input.value === chosenLabel())) return settings.options;
    const words = typed.split(/\s+/);
    return settings.options.filter((option) => {
      const text = `${option.label} ${option.group ?? ""} ${option.hint ?? ""}`.toLocaleLowerCase();
      return words.every((word) => text.includes(word));
    });
  }

  function open(): void {
    if (settings.find) void searchFor(settings.find);
    else show(matching(), settings.nothing);
  }

  /** Only the answer to what was typed last is shown, and none once the list is closed. */
  async function searchFor(find: (typed: string) => Promise<Option<T>[]>): Promise<void> {
    const mine = ++search;
    const typed = !settings.clears && input.value === chosenLabel() ? "" : input.value.trim();
    if (list.hidden || !shown.length) show([], settings.searching ?? "");
    list.setAttribute("aria-busy", "true");
    await new Promise((rested) => window.setTimeout(rested, QUIET_MS));
    if (mine !== search) return;
    const [found, otherwise] = await find(typed).then(
      (options): [Option<T>[], string] => [options, settings.nothing],
      (): [Option<T>[], string] => [[], settings.failed ?? ""],
    );
    if (mine === search) show(found, otherwise);
  }

  function show(found: Option<T>[], nothing: string): void {
    shown = [];
    list.removeAttribute("aria-busy");
    const sections = new Map<string, HTMLElement>();
    list.replaceChildren();
    for (const option of found.slice(0, SHOWN)) {
      const name = option.group ?? "";
      let section = sections.get(name);
      if (!section) {
        section = element("div", name ? { role: "group", "aria-label": name } : { role: "presentation" });
        if (name) section.append(element("div", { class: "combobox-group", "aria-hidden": "true" }, name));
        sections.set(name, section);
        list.append(section);
      }
      const selected = option.value === settings.chosen;
      const node = element(
        "div",
        { id: `${id}-${shown.length}`, class: "combobox-option", role: "option", "aria-selected": String(selected) },
        option.label,
        ...(option.note ? [element("span", { class: "combobox-note" }, option.note)] : []),
      );
      section.append(node);
      shown.push({ node, option });
    }
    const rest = found.length > SHOWN ? settings.more : undefined;
    if (rest) list.append(element("div", { class: "combobox-nothing", role: "presentation" }, rest));
    if (!shown.length) list.append(element("div", { class: "combobox-nothing", role: "presentation" }, nothing));
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    const current = shown.findIndex(({ option }) => option.value === settings.chosen);
    const typing = input.value.trim() !== "" && input.value !== chosenLabel();
    activate(typing && shown.length ? 0 : current);
  }

  function close(): void {
    search += 1;
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  }

  function activate(index: number): void {
    shown[active]?.node.classList.remove("is-active");
    active = index;
    const node = shown[active]?.node;
    if (!node) return input.removeAttribute("aria-activedescendant");
    node.classList.add("is-active");
    node.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", node.id);
  }

  function take(option: Option<T>): void {
    if (settings.find && !settings.options.some(({ value }) => value === option.value)) settings.options.push(option);
    settings.chosen = settings.clears ? undefined : option.value;
    input.value = settings.clears ? "" : option.label;
    close();
    settings.choose(option.value);
  }

  input.addEventListener("input", open);
  input.addEventListener("click", () => (list.hidden ? open() : undefined));
  input.addEventListener("focus", () => input.select());
  input.addEventListener("blur", () => {
    close();
    input.value = settings.clears ? "" : chosenLabel();
  });
  input.addEventListener("keydown", (event) => {
    const moves: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    const step = moves[event.key];
    if (step) {
      event.preventDefault();
      if (list.hidden) return open();
      const last = shown.length - 1;
      const next = active + step;
      activate(Math.abs(step) === 1 ? (next < 0 ? last : next > last ? 0 : next) : Math.max(0, Math.min(last, next)));
    } else if (event.key === "Enter") {
      // Never sends the form: Enter here means "this one".
      event.preventDefault();
      const one = shown[active];
      if (list.hidden) open();
      else if (one) take(one.option);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      close();
      input.value = settings.clears ? "" : chosenLabel();
    }
  });
  // Before the field loses the focus, which would close the list.
  list.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    const node = (event.target as Element).closest(".combobox-option");
    const one = shown.find((entry) => entry.node === node);
    if (one) take(one.option);
  });
  return box;
}
