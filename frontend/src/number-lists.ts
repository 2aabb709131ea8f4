/** Uploads a file of client numbers that is too long for a rule; the server keeps it as a list and tells its id. */
import { csrfToken, element, icon } from "./page";
import type { Choice } from "./rule-tree";

export function numberListUpload(url: string, labels: Record<string, string>, uploaded: (choice: Choice) => void): HTMLElement {
  const said = element("span", { class: "rule-note", role: "status" });
  const file = element("input", { type: "file", class: "visually-hidden", accept: ".csv,.txt,.xlsx", "aria-label": labels.upload_list });
  const send = async () => {
    const chosen = file.files?.[0];
    if (!chosen) return;
    said.textContent = labels.uploading ?? "";
    const form = new FormData();
    form.append("file", chosen);
    try {
      const response = await fetch(url, {
        method: "POST",
        body: form,
        headers: { "X-CSRFToken": csrfToken(), Accept: "application/json" },
      });
      const answer = (await response.json()) as Choice & { note?: string; error?: { message: string } };
      if (response.ok) uploaded(answer);
      said.textContent = response.ok ? (answer.note ?? "") : (answer.error?.message ?? labels.upload_failed ?? "");
    } catch {
      said.textContent = labels.upload_failed ?? "";
    }
    file.value = "";
  };
  file.addEventListener("change", () => void send());
  const pick = element("label", { class: "btn btn-sm file-button" }, file, icon("upload"), labels.upload_list ?? "");
  return element("span", { class: "value-with-unit" }, pick, said);
}
