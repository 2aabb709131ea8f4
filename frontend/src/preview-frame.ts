/**
 * A live preview in an iframe: the fields of a form are posted to the preview address with the iframe as the target, so that
 * the answer is a page of its own under its own (sandbox) policy.
 */
import { csrfToken, debounce, element } from "./page";

export class PreviewFrame {
  private mode = "desktop";
  private frame: HTMLIFrameElement;
  private readonly name: string;
  private count = 0;
  readonly refreshSoon = debounce(() => this.refresh(), 500);

  constructor(
    private readonly form: HTMLFormElement,
    private readonly url: string,
    frame: HTMLIFrameElement,
  ) {
    this.frame = frame;
    this.name = frame.name;
    form.addEventListener("input", this.refreshSoon);
    form.addEventListener("change", this.refreshSoon);
    for (const button of this.buttons()) {
      button.addEventListener("click", () => this.show(button.dataset.previewWidth ?? "desktop"));
    }
    this.show(this.buttons().find((button) => button.getAttribute("aria-pressed") === "true")?.dataset.previewWidth ?? "desktop");
  }

  private buttons(): HTMLButtonElement[] {
    return [...document.querySelectorAll<HTMLButtonElement>("button[data-preview-width]")];
  }

  private show(mode: string): void {
    this.mode = mode;
    for (const button of this.buttons()) {
      const on = button.dataset.previewWidth === mode;
      button.setAttribute("aria-pressed", String(on));
      button.classList.toggle("active", on);
    }
    this.refresh();
  }

  private dress(frame: HTMLIFrameElement): void {
    frame.classList.toggle("is-phone", this.mode === "phone");
    frame.classList.toggle("is-text", this.mode === "text");
  }

  /**
   * Each answer loads in a new iframe that takes the place of the old one when it is there: the page does not flicker, and the
   * browser's Back button does not have to pass through every preview.
   */
  private refresh(): void {
    const next = this.frame.cloneNode() as HTMLIFrameElement;
    const waiting = this.frame.parentElement?.querySelectorAll("iframe.is-loading") ?? [];
    for (const late of waiting) late.remove();
    next.name = `${this.name}-${++this.count}`;
    next.classList.add("is-loading");
    next.removeAttribute("src");
    this.dress(next);
    this.frame.after(next);
    const post = element("form", { method: "post", action: this.url, target: next.name, hidden: true });
    for (const [name, value] of new FormData(this.form)) {
      if (typeof value === "string" && name !== "mode") post.append(hiddenInput(name, value));
    }
    post.append(hiddenInput("mode", this.mode));
    if (!post.querySelector('[name="csrf_token"]')) post.append(hiddenInput("csrf_token", csrfToken()));
    document.body.append(post);
    post.submit();
    post.remove();
    next.addEventListener("load", () => {
      if (!next.isConnected) return;
      next.classList.remove("is-loading");
      this.frame.remove();
      this.frame = next;
    });
  }
}

function hiddenInput(name: string, value: string): HTMLInputElement {
  const made = element("input", { type: "hidden", name });
  made.value = value;
  return made;
}
