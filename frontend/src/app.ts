/** What every staff page shares: questions before acting, toasts, htmx manners, copying, filters that send themselves. */
import "./app.css";
import { csrfToken, debounce, element, readJson } from "./page";

type Tone = "info" | "success" | "warning" | "danger";

const texts: Record<string, string> = {
  confirm_title: "Are you sure?",
  confirm: "Continue",
  cancel: "Cancel",
  close: "Close",
  copied: "Copied",
  copy_failed: "This could not be copied. Please select the text and copy it by hand.",
  request_failed: "The server could not do this. Please try again in a moment.",
  offline: "No connection to the server. Please check your network and try again.",
  not_allowed: "You are not allowed to do this.",
  signed_out: "You have been signed out. Please reload the page and sign in again.",
  not_found: "This no longer exists. Please reload the page.",
  conflict: "Somebody else has changed this. Please reload the page and look again.",
  too_many: "Too many requests. Please wait a minute and try again.",
  ...readJson<Record<string, string>>("#app-texts", {}),
};

// ---- Toasts ---------------------------------------------------------------------------------------------------------

const toasts = element("div", { class: "toast-list", role: "status", "aria-live": "polite" });

/** Show a sentence in the corner. Warnings and failures stay until closed, the rest leave by themselves. */
function toast(text: string, tone: Tone = "info"): void {
  const close = element("button", { type: "button", class: "btn-close", "aria-label": texts.close });
  const note = element("div", { class: `toast-note toast-${tone}` }, element("p", {}, text), close);
  close.addEventListener("click", () => note.remove());
  // The same sentence twice says nothing more.
  for (const other of [...toasts.children]) if (other.textContent === text) other.remove();
  toasts.append(note);
  if (tone === "info" || tone === "success") {
    const leave = () => (note.matches(":hover, :focus-within") ? window.setTimeout(leave, 2000) : note.remove());
    window.setTimeout(leave, 6000);
  }
}

function liftFlashes(root: ParentNode): void {
  for (const flash of root.querySelectorAll<HTMLElement>('[data-flash="success"], [data-flash="info"]')) {
    toast(flash.textContent?.trim() ?? "", flash.dataset.flash as Tone);
    flash.remove();
  }
}

// ---- Questions ------------------------------------------------------------------------------------------------------

/** Ask before acting; the focus starts on "Cancel" where the act is dangerous. */
function ask(question: string, from: HTMLElement | null): Promise<boolean> {
  const danger = from?.dataset.confirmTone === "danger";
  const cancel = element("button", { type: "submit", class: "btn", value: "no", autofocus: danger }, texts.cancel ?? "");
  const act = element(
    "button",
    { type: "submit", class: danger ? "btn btn-danger" : "btn btn-primary", value: "yes", autofocus: !danger },
    from?.dataset.confirmAction ?? texts.confirm ?? "",
  );
  const dialog = element(
    "dialog",
    { class: "ask", "aria-labelledby": "ask-title", "aria-describedby": "ask-text" },
    element(
      "form",
      { method: "dialog" },
      element("h2", { id: "ask-title" }, from?.dataset.confirmTitle ?? texts.confirm_title ?? ""),
      element("p", { id: "ask-text" }, question),
      element("div", { class: "ask-buttons" }, cancel, act),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}

const agreed = new WeakSet<HTMLFormElement>();
const busy = new WeakSet<HTMLFormElement>();

function questioner(form: HTMLFormElement, submitter: HTMLElement | null): HTMLElement | null {
  if (submitter?.dataset.confirm) return submitter;
  return form.dataset.confirm ? form : null;
}

function isHtmx(node: Element): boolean {
  return ["hx-get", "hx-post", "hx-put", "hx-patch", "hx-delete"].some((name) => node.hasAttribute(name));
}

// Captured at the document, so that it comes before htmx and before any other listener of the form.
document.addEventListener(
  "submit",
  (event) => {
    const form = event.target as HTMLFormElement;
    if (form.method === "dialog") return;
    const submitter = event.submitter;
    const from = questioner(form, submitter);
    if (from && !agreed.has(form)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      void ask(from.dataset.confirm ?? "", from).then((yes) => {
        if (!yes) return;
        agreed.add(form);
        form.requestSubmit(submitter);
        agreed.delete(form);
      });
      return;
    }
    if (form.method !== "post" || form.target || isHtmx(form) || (submitter && isHtmx(submitter))) return;
    if (busy.has(form)) {
      event.preventDefault();
      return;
    }
    hold(form, event);
  },
  true,
);

/** Refuse a second submission until the next page is there, or for eight seconds (an answer may be a download). */
function hold(form: HTMLFormElement, event: SubmitEvent): void {
  window.setTimeout(() => {
    // A later listener may have refused it.
    if (event.defaultPrevented) return;
    busy.add(form);
    form.setAttribute("aria-busy", "true");
  });
  window.setTimeout(() => release(form), 8000);
}

function release(form: HTMLFormElement): void {
  busy.delete(form);
  form.removeAttribute("aria-busy");
}

// A page that comes back from the browser's memory must be usable again.
window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach(release));

document.addEventListener("click", (event) => {
  const link = (event.target as Element).closest<HTMLAnchorElement>("a[data-confirm]");
  if (!link || isHtmx(link)) return;
  event.preventDefault();
  void ask(link.dataset.confirm ?? "", link).then((yes) => {
    if (yes) window.location.assign(link.href);
  });
});

// ---- htmx -----------------------------------------------------------------------------------------------------------

type HtmxEvent = CustomEvent<{
  elt: HTMLElement;
  headers: Record<string, string>;
  verb: string;
  question: string | null;
  issueRequest: (skip: boolean) => void;
  xhr: XMLHttpRequest;
}>;

function onHtmx(name: string, call: (event: HtmxEvent) => void): void {
  document.addEventListener(`htmx:${name}`, (event) => call(event as HtmxEvent));
}

onHtmx("configRequest", (event) => {
  if (event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = csrfToken();
});

onHtmx("confirm", (event) => {
  const { elt, question, issueRequest } = event.detail;
  const own = elt instanceof HTMLFormElement ? undefined : elt.dataset.confirm;
  const words = question ?? own;
  if (!words) return;
  event.preventDefault();
  void ask(words, elt).then((yes) => yes && issueRequest(true));
});

onHtmx("beforeRequest", (event) => toggleButtons(event.detail.elt, true));
onHtmx("afterRequest", (event) => toggleButtons(event.detail.elt, false));

function toggleButtons(from: HTMLElement, held: boolean): void {
  if (from.getAttribute("hx-get")) return;
  const buttons = from instanceof HTMLButtonElement ? [from] : from.querySelectorAll<HTMLButtonElement>("button[type=submit]");
  for (const button of buttons) {
    if (held && button.disabled) continue;
    if (!held && !button.dataset.held) continue;
    button.disabled = held;
    if (held) button.dataset.held = "1";
    else delete button.dataset.held;
  }
}

const REFUSALS: Record<number, string> = {
  401: "signed_out",
  403: "not_allowed",
  404: "not_found",
  409: "conflict",
  429: "too_many",
};

onHtmx("responseError", (event) => {
  const { xhr, elt } = event.detail;
  // A poll fails quietly: the next one comes in a moment.
  if (elt.getAttribute("hx-trigger")?.includes("every")) return;
  const plain = xhr.getResponseHeader("Content-Type")?.startsWith("text/plain");
  const said = plain && xhr.responseText.length < 500 ? xhr.responseText.trim() : "";
  toast(said || (texts[REFUSALS[xhr.status] ?? "request_failed"] ?? ""), "danger");
});

for (const name of ["sendError", "timeout"]) {
  onHtmx(name, (event) => {
    if (!event.detail.elt.getAttribute("hx-trigger")?.includes("every")) toast(texts.offline ?? "", "danger");
  });
}

onHtmx("afterSettle", (event) => liftFlashes(event.detail.elt.parentElement ?? document));

// A response may say something by its header HX-Trigger: {"toast": {"text": "...", "tone": "success"}}.
document.addEventListener("toast", (event) => {
  const { text, tone } = (event as CustomEvent<{ text: string; tone?: Tone }>).detail;
  toast(text, tone);
});

// ---- Rows, copying, filters -----------------------------------------------------------------------------------------

/** A row is a larger target for the link it already holds; the link itself serves the keyboard. */
function openRow(event: MouseEvent): void {
  const row = (event.target as Element).closest<HTMLElement>("tr[data-href]");
  if (!row?.dataset.href || event.defaultPrevented || event.button > 1) return;
  if ((event.target as Element).closest("a, button, input, select, textarea, label, summary, [contenteditable]")) return;
  if (window.getSelection()?.toString()) return;
  if (event.ctrlKey || event.metaKey || event.button === 1) window.open(row.dataset.href, "_blank", "noopener");
  else window.location.assign(row.dataset.href);
}

document.addEventListener("click", openRow);
document.addEventListener("auxclick", openRow);

/** data-copy holds the text itself, or "#id" of the element (or field) that has it. */
document.addEventListener("click", (event) => {
  const button = (event.target as Element).closest<HTMLElement>("[data-copy]");
  if (!button) return;
  const given = button.dataset.copy ?? "";
  const source = /^#[\w-]+$/.test(given) ? document.querySelector<HTMLElement>(given) : null;
  const text = source ? ("value" in source ? String(source.value) : (source.textContent ?? "")) : given;
  navigator.clipboard.writeText(text.trim()).then(
    () => toast(texts.copied ?? "", "success"),
    () => toast(texts.copy_failed ?? "", "warning"),
  );
});

/** Filters send themselves: choices at once; typed words too where htmx replaces the list and the cursor stays. */
document.addEventListener("change", (event) => {
  const field = event.target as HTMLInputElement;
  const form = field.form;
  if (form && form.matches("[data-autosubmit]") && field.type !== "file") form.requestSubmit();
});

const pending = new WeakMap<HTMLFormElement, () => void>();
document.addEventListener("input", (event) => {
  const field = event.target as HTMLInputElement;
  const form = field.form;
  if (!form?.matches("[data-autosubmit]") || !isHtmx(form) || !["text", "search"].includes(field.type)) return;
  if (!pending.has(form)) pending.set(form, debounce(() => form.requestSubmit(), 400));
  pending.get(form)?.();
});

document.body.append(toasts);
liftFlashes(document);
