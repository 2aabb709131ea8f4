/** What the rule was before, to go back to and forth again. */
import type { Group } from "./rule-tree";

const MOST = 200;
const ONE_EDIT_MS = 1500;

export class History {
  private readonly past: Group[] = [];
  private readonly future: Group[] = [];
  private lastKey: string | undefined;
  private lastAt = 0;

  constructor(private now: Group) {
    this.now = structuredClone(now);
  }

  get canUndo(): boolean {
    return this.past.length > 0;
  }

  get canRedo(): boolean {
    return this.future.length > 0;
  }

  /** The rule has become this. Edits with the same key in quick succession (typing a value) count as one. */
  keep(root: Group, key?: string): void {
    if (JSON.stringify(root) === JSON.stringify(this.now)) return;
    const at = performance.now();
    const goesOn = key !== undefined && key === this.lastKey && at - this.lastAt < ONE_EDIT_MS;
    if (!goesOn) this.past.push(this.now);
    if (this.past.length > MOST) this.past.shift();
    this.future.length = 0;
    this.now = structuredClone(root);
    [this.lastKey, this.lastAt] = [key, at];
  }

  undo(): Group | undefined {
    return this.step(this.past, this.future);
  }

  redo(): Group | undefined {
    return this.step(this.future, this.past);
  }

  private step(from: Group[], to: Group[]): Group | undefined {
    const root = from.pop();
    if (!root) return undefined;
    to.push(this.now);
    this.now = root;
    this.lastKey = undefined;
    return structuredClone(root);
  }
}
