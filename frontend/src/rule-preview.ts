/** Asks the server whom a rule finds, one question at a time: a new one takes the place of the one before. */
import { csrfToken, element } from "./page";
import type { Labels } from "./value-editors";

/** Why a rule was refused, and where in it. */
export interface Problem { path: string; text: string }

interface Settings {
  url: string;
  endUrl?: string;
  /** The segment that is edited: it must not lead back to itself. */
  segment?: string;
  target: HTMLElement;
  labels: Labels;
  /** `said` is the answer in one line. */
  answered: (said: string, problem: Problem | undefined) => void;
}

export class Preview {
  /** Names this page on the server, which ends the query of the question before. */
  private readonly builder = Array.from({ length: 3 }, () => Math.random().toString(36).slice(2, 8)).join("");
  private edit = 0;
  private request: AbortController | undefined;
  /** The server may still be counting. A request that failed is no sign that it is not: leaving the page fails it. */
  private unanswered = false;
  private lastAsked: string | undefined;

  constructor(private readonly settings: Settings) {
    window.addEventListener("pagehide", () => this.leave());
    window.addEventListener("pageshow", (event) => event.persisted && this.again());
  }

  async ask(rule: string): Promise<void> {
    if (rule === this.lastAsked) return;
    const { url, target, segment = "" } = this.settings;
    this.request?.abort();
    const request = new AbortController();
    this.request = request;
    this.lastAsked = rule;
    this.unanswered = true;
    target.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(url, {
        method: "POST",
        body: new URLSearchParams({ rule, segment, builder: this.builder, edit: String(++this.edit) }),
        headers: { "X-CSRFToken": csrfToken(), "HX-Request": "true" },
        signal: request.signal,
      });
      const text = await response.text();
      if (this.request !== request) return;
      this.unanswered = false;
      const html = response.headers.get("Content-Type")?.startsWith("text/html");
      if (html && (response.ok || response.status === 422)) this.show(text);
      else if (response.status !== 204) this.fail(!html && text.length < 500 ? text : undefined);
    } catch (error) {
      if ((error as Error).name === "AbortError") return;
      this.fail();
    }
    if (this.request !== request) return;
    this.request = undefined;
    target.removeAttribute("aria-busy");
  }

  private show(html: string): void {
    const { target, answered } = this.settings;
    target.innerHTML = html;
    const refused = target.querySelector<HTMLElement>("[data-rule-problem]");
    const problem = refused && { path: refused.dataset.rulePath ?? "", text: refused.dataset.ruleProblem ?? "" };
    answered(target.querySelector("[data-preview-said]")?.textContent?.trim() ?? "", problem ?? undefined);
  }

  /** A failed count may be asked for again by the next edit, whatever it is. */
  private fail(sentence = this.settings.labels.preview_failed ?? ""): void {
    this.lastAsked = undefined;
    this.settings.target.replaceChildren(element("p", { class: "text-danger mb-0" }, sentence));
    this.settings.answered(sentence, undefined);
  }

  /** Nobody waits any more: the server need not go on. */
  private leave(): void {
    if (!this.unanswered || !this.settings.endUrl) return;
    const form = new FormData();
    form.append("builder", this.builder);
    form.append("csrf_token", csrfToken());
    navigator.sendBeacon(this.settings.endUrl, form);
  }

  /** The page comes back from where the browser had put it aside. */
  private again(): void {
    const rule = this.lastAsked;
    if (!this.unanswered || rule === undefined) return;
    this.lastAsked = undefined;
    void this.ask(rule);
  }
}
