/** Values typed or pasted freely: a few as chips, many (up to a thousand client numbers) as lines of a text. */
import { element } from "./page";
import type { Scalar } from "./rule-tree";
import { chip, suggestions, type Settings } from "./value-editors";

const CHIPS = 12;
const MOST = 1000;
const BREAKS = /[,;，；、\n\t]+/;

export function valueList({ field, value, labels, focusKey, change }: Settings, name: string): HTMLElement {
  let values: Scalar[] = Array.isArray(value) ? [...value] : [];
  const numbers = field.type === "number" || field.type === "money";
  const list = element("span", { class: "chips" });
  const said = element("span", { class: "rule-note", role: "status" });
  const box = element("span", { class: "chips-box" }, list);

  const read = (text: string): Scalar[] => {
    const words = text.split(BREAKS).map((word) => word.trim()).filter(Boolean);
    return numbers ? words.map(Number).filter(Number.isFinite) : words;
  };
  const set = (next: Scalar[]) => {
    const all = [...new Set(next)];
    values = all.slice(0, MOST);
    said.textContent =
      all.length > MOST ? (labels.list_full ?? "").replace("{most}", String(MOST)).replace("{given}", String(all.length)) : "";
    change(values.length ? values : undefined);
  };

  function drawChips(): void {
    const shown = values.slice(0, CHIPS).map((one) =>
      chip(String(one), labels, () => {
        set(values.filter((other) => other !== one));
        drawChips();
        typed.focus();
      }),
    );
    if (values.length > CHIPS) {
      const rest = element("button", { type: "button", class: "btn btn-sm" }, more(values.length - CHIPS));
      rest.addEventListener("click", editAsText);
      shown.push(rest);
    }
    list.replaceChildren(...shown);
  }

  const more = (count: number) => (labels.and_more ?? "").replace("{count}", String(count));

  function editAsText(): void {
    const area = element("textarea", { class: "form-control value-lines", rows: 8, "aria-label": name, spellcheck: "false" });
    area.value = values.join("\n");
    area.addEventListener("input", () => set(read(area.value)));
    const done = element("button", { type: "button", class: "btn btn-sm" }, labels.done ?? "");
    done.addEventListener("click", () => {
      box.replaceChildren(list, typed, ...(offered ? [offered] : []), asText, said);
      drawChips();
      typed.focus();
    });
    box.replaceChildren(area, done, said);
    area.focus();
  }

  const typed = element("input", {
    type: "text",
    class: "form-control",
    "aria-label": name,
    placeholder: labels.add_values,
    autocomplete: "off",
    "data-focus": focusKey,
  });
  const take = (text: string) => {
    const found = read(text);
    typed.value = "";
    if (!found.length) return;
    set([...values, ...found]);
    drawChips();
  };
  typed.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      take(typed.value);
    } else if (event.key === "Backspace" && !typed.value && values.length) {
      set(values.slice(0, -1));
      drawChips();
    }
  });
  typed.addEventListener("input", () => /[,;，；、]$/.test(typed.value) && take(typed.value));
  // A field of one line would join the lines of a column copied from a spreadsheet.
  typed.addEventListener("paste", (event) => {
    const pasted = event.clipboardData?.getData("text") ?? "";
    if (!BREAKS.test(pasted.trim())) return;
    event.preventDefault();
    take(pasted);
  });
  typed.addEventListener("blur", () => take(typed.value));
  const asText = element("button", { type: "button", class: "btn btn-sm btn-ghost" }, labels.as_lines ?? "");
  asText.addEventListener("click", editAsText);
  const offered = suggestions(typed, field, focusKey);
  box.append(typed, ...(offered ? [offered] : []), asText, said);
  drawChips();
  return box;
}
