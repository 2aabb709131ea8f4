/**
 * Turns `<textarea data-email-editor>` into an editor for HTML with merge fields and a live preview. The textarea stays the
 * field that is sent, so the page works without script too.
 */
import {
  autocompletion, closeBrackets, completionKeymap, type Completion, type CompletionContext, type CompletionResult,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { html, htmlLanguage } from "@codemirror/lang-html";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import {
  Decoration, EditorView, highlightActiveLine, keymap, lineNumbers, MatchDecorator, ViewPlugin,
  type DecorationSet, type ViewUpdate,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { combobox } from "./combobox";
import { element, readJson } from "./page";
import { PreviewFrame } from "./preview-frame";

interface MergeField { key: string; label: string; example?: string; default?: string; group?: string }

const ENGLISH: Record<string, string> = {
  insert_field: "Insert a field of the client",
  find_field: "Insert a field: type to find it",
  nothing_found: "Nothing found",
  example: "for example",
};

const look = EditorView.theme({
  "&": { fontSize: "13px", border: "1px solid #dfe4ea", borderRadius: "6px", backgroundColor: "#fff" },
  "&.cm-focused": { outline: "2px solid #1f5a85", outlineOffset: "1px" },
  ".cm-scroller": {
    fontFamily: 'ui-monospace, "Cascadia Mono", Consolas, Menlo, "Noto Sans Mono CJK SC", monospace',
    lineHeight: "1.55",
    minHeight: "24rem",
    maxHeight: "70vh",
    overflow: "auto",
  },
  ".cm-gutters": { backgroundColor: "#fafbfc", color: "#6b7783", border: "0" },
  ".cm-activeLine": { backgroundColor: "#f5f7f980" },
  ".cm-merge": { backgroundColor: "#fcf1dc", color: "#714700", borderRadius: "3px", padding: "1px 0" },
  ".cm-tooltip": { border: "1px solid #dfe4ea", borderRadius: "6px", backgroundColor: "#fff" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "#e8f0f6", color: "#17476a" },
});

const colours = HighlightStyle.define([
  { tag: tags.tagName, color: "#1f5a85" },
  { tag: tags.angleBracket, color: "#6b7783" },
  { tag: tags.attributeName, color: "#6f4b8b" },
  { tag: [tags.attributeValue, tags.string], color: "#1d6b45" },
  { tag: tags.comment, color: "#66727e", fontStyle: "italic" },
  { tag: [tags.propertyName, tags.keyword], color: "#6f4b8b" },
  { tag: [tags.number, tags.unit, tags.color], color: "#8a4a12" },
]);

const merges = new MatchDecorator({ regexp: /\{\{.*?\}\}|\{%.*?%\}/g, decoration: Decoration.mark({ class: "cm-merge" }) });

/** Merge fields and Liquid tags stand out from the HTML around them. */
const mergeMarks = ViewPlugin.fromClass(
  class {
    marks: DecorationSet;
    constructor(view: EditorView) {
      this.marks = merges.createDeco(view);
    }
    update(update: ViewUpdate): void {
      this.marks = merges.updateDeco(update, this.marks);
    }
  },
  { decorations: (plugin) => plugin.marks },
);

/** After "{{" the fields are offered; choosing one writes its fallback and the closing braces too. */
function completer(fields: MergeField[]) {
  const options = fields.map((field): Completion => ({
    label: field.key,
    detail: field.label,
    type: "variable",
    apply: (view, _completion, from, to) => {
      const rest = view.state.sliceDoc(to, to + 4);
      const closed = /^\s*\}\}/.exec(rest)?.[0].length ?? 0;
      const [before, after] = mergeText(field).map((text) => text.replace("{{ ", ""));
      view.dispatch({
        changes: { from, to: to + closed, insert: `${before}${after}` },
        selection: { anchor: from + (before?.length ?? 0) },
      });
    },
  }));
  return (context: CompletionContext): CompletionResult | null => {
    const typed = context.matchBefore(/\{\{\s*[\w.]*/);
    if (!typed) return null;
    const lead = /^\{\{\s*/.exec(typed.text)?.[0].length ?? 2;
    return { from: typed.from + lead, options, validFor: /^[\w.]*$/ };
  };
}

/** The words before and after the place where the fallback is typed. */
function mergeText(field: MergeField): [string, string] {
  return [`{{ ${field.key} | default: "${(field.default ?? "").replaceAll('"', "")}`, '" }}'];
}

function enhance(textarea: HTMLTextAreaElement): void {
  const { fields: fieldsAt, labels: labelsAt, previewUrl, previewFrame } = textarea.dataset;
  const fields = readJson<MergeField[]>(fieldsAt, []);
  const words: Record<string, string> = { ...ENGLISH, ...readJson<Record<string, string>>(labelsAt, {}) };
  const { form } = textarea;
  const label = textarea.labels?.[0];

  const host = element("div", { class: "email-editor" });
  // In a shadow tree CodeMirror adopts its style sheet, which the page's policy allows; a <style> element it would not.
  const root = host.attachShadow({ mode: "open" });
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: textarea.value,
      extensions: [
        lineNumbers(),
        history(),
        html({ autoCloseTags: false }),
        htmlLanguage.data.of({ autocomplete: completer(fields) }),
        autocompletion(),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        syntaxHighlighting(colours),
        mergeMarks,
        look,
        EditorView.lineWrapping,
        EditorState.readOnly.of(textarea.readOnly || textarea.disabled),
        // Tab is left alone: it leads out of the editor, as everywhere else.
        keymap.of([...completionKeymap, ...historyKeymap, ...defaultKeymap]),
        EditorView.contentAttributes.of({
          "aria-label": label?.textContent?.trim() ?? textarea.name,
          ...(textarea.getAttribute("aria-invalid") ? { "aria-invalid": "true" } : {}),
        }),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          textarea.value = update.state.doc.toString();
          textarea.dispatchEvent(new Event("input", { bubbles: true }));
        }),
      ],
    }),
  });
  textarea.after(host);
  textarea.hidden = true;
  // A hidden field cannot be pointed at by the browser; the server says what is missing.
  textarea.required = false;
  label?.addEventListener("click", () => view.focus());

  if (fields.length && !textarea.readOnly) host.before(fieldMenu(fields, words, form, textarea, view));
  const frame = document.querySelector<HTMLIFrameElement>(`iframe[name="${previewFrame ?? ""}"]`);
  if (form && previewUrl && frame) new PreviewFrame(form, previewUrl, frame);
}

/** Fields go to the editor, or to the one-line field marked data-takes-fields (a subject) where the cursor was last. */
function fieldMenu(
  fields: MergeField[],
  words: Record<string, string>,
  form: HTMLFormElement | null,
  textarea: HTMLTextAreaElement,
  view: EditorView,
): HTMLElement {
  let line: HTMLInputElement | HTMLTextAreaElement | undefined;
  view.contentDOM.addEventListener("focus", () => (line = undefined));
  form?.addEventListener("focusin", (event) => {
    const target = event.target as HTMLInputElement;
    if (target.matches("[data-takes-fields]") && target !== (textarea as HTMLElement)) line = target;
  });
  const insert = (key: string) => {
    const field = fields.find((one) => one.key === key);
    if (!field) return;
    const [before, after] = mergeText(field);
    if (line) {
      const at = line.selectionStart ?? line.value.length;
      line.setRangeText(before + after, at, line.selectionEnd ?? at, "end");
      line.setSelectionRange(at + before.length, at + before.length);
      line.dispatchEvent(new Event("input", { bubbles: true }));
      line.focus();
      return;
    }
    const { from, to } = view.state.selection.main;
    view.dispatch({
      changes: { from, to, insert: before + after },
      selection: { anchor: from + before.length },
      scrollIntoView: true,
    });
    view.focus();
  };
  const chooser = combobox<string>({
    options: fields.map((field) => ({
      value: field.key,
      label: field.example ? `${field.label} (${words.example} ${field.example})` : field.label,
      group: field.group,
      hint: field.key,
    })),
    label: words.insert_field ?? "",
    placeholder: words.find_field ?? "",
    nothing: words.nothing_found ?? "",
    clears: true,
    choose: insert,
  });
  // What is typed here is a search, not a part of the form.
  chooser.addEventListener("input", (event) => event.stopPropagation());
  chooser.addEventListener("change", (event) => event.stopPropagation());
  return element("div", { class: "email-tools" }, chooser);
}

const enhanced = new WeakSet<HTMLTextAreaElement>();

function enhanceAll(): void {
  for (const textarea of document.querySelectorAll<HTMLTextAreaElement>("textarea[data-email-editor]")) {
    if (enhanced.has(textarea)) continue;
    enhanced.add(textarea);
    enhance(textarea);
  }
}

enhanceAll();
document.addEventListener("htmx:afterSettle", enhanceAll);
