/** What undoes a write to maps and sets in memory. Lifecycle: `begin` for each write, then `revert` if it failed. */
export class UndoLog {
  #undo: (() => void)[] = [];

  /** Begins a write: those before it stay. */
  begin(): void {
    this.#undo = [];
  }

  /** Notes what undoes a change that the caller makes. */
  add(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** Sets a value of a map. */
  set<K, V>(map: Map<K, V>, key: K, value: V): void {
    const before = map.get(key);
    this.#undo.push(() => (before === undefined ? map.delete(key) : map.set(key, before)));
    map.set(key, value);
  }

  /** Removes a key of a map. */
  delete<K, V>(map: Map<K, V>, key: K): void {
    const before = map.get(key);
    if (before !== undefined) this.#undo.push(() => map.set(key, before));
    map.delete(key);
  }

  /** Adds a text to a set. */
  mark(set: Set<string>, text: string): void {
    if (set.has(text)) return;
    this.#undo.push(() => set.delete(text));
    set.add(text);
  }

  /** Undoes all changes since `begin`, the last change first. */
  revert(): void {
    for (const undo of this.#undo.reverse()) undo();
    this.#undo = [];
  }
}
