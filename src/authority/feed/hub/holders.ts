import { textOfKey } from '../sidecar-stream.ts';
import type { SidecarStream, StreamId } from '../sidecar-stream.ts';
import type { TaskKeyMessage } from '../../../core/fleet/messages.ts';

/**
 * Maps each root task to the streams that hold tasks of its family. A task counts once it is linked to its root, which becomes
 * known when its card is first read.
 */
export class Holders {
  readonly #ofRoot = new Map<string, Map<StreamId, Set<TaskText>>>();

  /** The streams that hold tasks of a root, with these tasks. */
  of(root: string): ReadonlyMap<StreamId, ReadonlySet<TaskText>> {
    return this.#ofRoot.get(root) ?? NOBODY;
  }

  /** The roots of which some task is held. */
  get roots(): Iterable<string> {
    return this.#ofRoot.keys();
  }

  /**
   * Links a noted task to its root. INVARIANT: it counts as changed at the position, since the sidecar may lack changes up to
   * there.
   */
  link(
    stream: SidecarStream,
    key: TaskKeyMessage,
    { root, position }: { readonly root: string; readonly position: number },
  ): void {
    const text = textOfKey(key);
    const note = stream.notes.get(text);
    if (note === undefined || note.root !== null) return;
    note.root = root;
    note.changed = position;
    const streams = this.#ofRoot.get(root) ?? new Map<StreamId, Set<TaskText>>();
    this.#ofRoot.set(root, streams);
    const texts = streams.get(stream.id) ?? new Set<TaskText>();
    streams.set(stream.id, texts);
    texts.add(text);
  }

  /** The stream no longer holds the task. */
  forget(stream: SidecarStream, text: TaskText): void {
    const root = stream.notes.get(text)?.root ?? null;
    stream.forget(text);
    const streams = root === null ? undefined : this.#ofRoot.get(root);
    const texts = streams?.get(stream.id);
    if (root === null || streams === undefined || texts === undefined) return;
    texts.delete(text);
    if (texts.size === 0) streams.delete(stream.id);
    if (streams.size === 0) this.#ofRoot.delete(root);
  }
}

/** From `textOfKey`. */
type TaskText = string;

const NOBODY: ReadonlyMap<StreamId, ReadonlySet<TaskText>> = new Map();
