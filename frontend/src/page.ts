/** What several islands need of the page: the CSRF token and JSON kept in the document. */

export function csrfToken(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="csrf-token"]')?.content ?? "";
}

/** The JSON of `<script type="application/json">` found by a selector; the fallback where there is none. */
export function readJson<T>(selector: string | undefined, fallback: T): T {
  const text = selector ? document.querySelector(selector)?.textContent : null;
  return text ? (JSON.parse(text) as T) : fallback;
}

/** Run `call` once things have been quiet for `wait` milliseconds. */
export function debounce(call: () => void, wait: number): () => void {
  let timer: number | undefined;
  return () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(call, wait);
  };
}

type Attributes = Record<string, string | number | boolean | null | undefined>;

/** A new element: attributes that are null or false are left out, true becomes an empty attribute. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** A drawing from the sprite; its names are in frontend/icons.txt. */
export function icon(name: string): SVGElement {
  const sprite = document.querySelector<HTMLMetaElement>('meta[name="icons"]')?.content ?? "";
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${sprite}#${name}`);
  svg.append(use);
  return svg;
}
