/** Dragging a part of the rule by its grip, with the mouse, a pen or a finger: pointer events serve all three. */
import { element } from "./page";

export interface Landing { group: number; position: number }
interface Settings {
  tree: HTMLElement;
  may: (dragged: number, group: number) => boolean;
  drop: (dragged: number, landing: Landing) => void;
}

const STARTS_AFTER = 4; // pixels, so that a click is no drag
const EDGE = 10; // this near to the edge of a group means beside it, not in it
const SCROLL_ZONE = 60;
const STAYS_INSIDE = 24;

export function dragByGrip(grip: HTMLElement, id: number, { tree, may, drop }: Settings): void {
  grip.addEventListener("pointerdown", (down) => {
    if (down.button !== 0) return;
    const box = grip.closest<HTMLElement>("[data-rule]");
    if (!box) return;
    const mark = element("div", { class: "drop-mark" });
    let landing: Landing | undefined;
    let at = { x: down.clientX, y: down.clientY };
    let dragging = false;
    let frame = 0;
    grip.setPointerCapture(down.pointerId);

    const look = () => {
      landing = landingAt(tree, at.x, at.y, (group) => may(id, group));
      if (landing) showMark(tree, mark, landing);
      else mark.remove();
    };
    const scroll = () => {
      // Not beyond the tree: its last part must not slide away under a finger that rests at the edge.
      const { clientHeight } = document.documentElement;
      const { top, bottom } = tree.getBoundingClientRect();
      const up = at.y < SCROLL_ZONE && top < at.y - STAYS_INSIDE;
      const down = at.y > clientHeight - SCROLL_ZONE && bottom > at.y + STAYS_INSIDE;
      const by = up ? -12 : down ? 12 : 0;
      if (by) {
        window.scrollBy({ top: by, behavior: "instant" }); // a smooth one would begin anew with every frame
        look();
      }
      frame = requestAnimationFrame(scroll);
    };
    const onMove = (event: PointerEvent) => {
      at = { x: event.clientX, y: event.clientY };
      if (!dragging && Math.hypot(at.x - down.clientX, at.y - down.clientY) < STARTS_AFTER) return;
      if (!dragging) {
        dragging = true;
        box.classList.add("is-dragged");
        tree.classList.add("has-drag");
        frame = requestAnimationFrame(scroll);
      }
      event.preventDefault();
      look();
    };
    const end = (lands: boolean) => {
      cancelAnimationFrame(frame);
      controls.abort();
      mark.remove();
      box.classList.remove("is-dragged");
      tree.classList.remove("has-drag");
      if (lands && dragging && landing) drop(id, landing);
    };
    const controls = new AbortController();
    const { signal } = controls;
    grip.addEventListener("pointermove", onMove, { signal });
    grip.addEventListener("pointerup", () => end(true), { signal });
    grip.addEventListener("pointercancel", () => end(false), { signal });
    document.addEventListener("keydown", (event) => event.key === "Escape" && end(false), { signal });
  });
}

const parts = (group: Element) => [...group.querySelectorAll<HTMLElement>(":scope > .rule-items > [data-rule]")];

/** The innermost group under the point that may take it, and between which of its parts the point is. */
function landingAt(tree: HTMLElement, x: number, y: number, may: (group: number) => boolean): Landing | undefined {
  // Through what lies over the tree: at the edge of a phone that is the bar with the count.
  const under = document.elementsFromPoint(x, y).find((one) => tree.contains(one));
  if (!under) return undefined;
  let group = under.closest<HTMLElement>(".rule-group");
  while (group && tree.contains(group)) {
    const { top, bottom } = group.getBoundingClientRect();
    const above = group.parentElement?.closest<HTMLElement>(".rule-group");
    const beside = above && (y < top + EDGE || y > bottom - EDGE);
    if (!beside && may(Number(group.dataset.rule))) {
      const position = parts(group).filter((part) => {
        const box = part.getBoundingClientRect();
        return box.top + box.height / 2 < y;
      }).length;
      return { group: Number(group.dataset.rule), position };
    }
    group = above ?? null;
  }
  return undefined;
}

function showMark(tree: HTMLElement, mark: HTMLElement, { group, position }: Landing): void {
  const box = tree.querySelector(`.rule-group[data-rule="${group}"]`);
  if (!box) return;
  const before = parts(box)[position];
  const items = box.querySelector(":scope > .rule-items");
  if (before) before.before(mark);
  else items?.append(mark);
}
