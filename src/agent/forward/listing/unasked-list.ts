import { Transform, type TransformCallback } from 'node:stream';
import { HeldBytes } from './held-bytes.ts';
import { parsedOrNull } from './parsed-message.ts';
import type { HeaderChange } from './shown-header.ts';
import { isToolListAnswer, shownMessageText } from './shown-list.ts';
import { hasToolsMark, ToolsMark } from './tools-mark.ts';
import { listedOrNull, type ListingRules, MAX_LIST_BYTES } from './whole-list.ts';

/** An answer in which a list may come although nothing asked for it. */
export interface UnaskedRules extends ListingRules {
  /** Whether its bytes cannot be read, since they are in a coding that is not known. */
  readonly isOpaque: boolean;
  /** What has happened to the bytes before this stage. */
  readonly unchanged: Exclude<HeaderChange, 'shown'>;
}

type State =
  | { readonly kind: 'held'; readonly bytes: HeldBytes }
  | { readonly kind: 'passed'; readonly watched: ToolsMark | null }
  | { readonly kind: 'dropped' };

/**
 * An answer in JSON to a request other than `tools/list`. A client takes a list from it all the same, if the id is that of its
 * request. So it is held until it is whole, up to `MAX_LIST_BYTES`, and passes as it came if it has no list of tools. A longer
 * answer passes in parts if its start does not name `tools`, and ends with an error before a part that does; otherwise the client
 * gets the `unreadable` answer instead.
 */
export class UnaskedList extends Transform {
  readonly #rules: UnaskedRules;
  #state: State = { kind: 'held', bytes: new HeldBytes() };
  #decided: ((change: HeaderChange) => void) | null = null;

  constructor(rules: UnaskedRules) {
    super();
    this.#rules = rules;
  }

  /** Calls back once, before the first byte, so that the header can say what the bytes are. */
  onDecided(decided: (change: HeaderChange) => void): void {
    this.#decided = decided;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const state = this.#state;
    if (state.kind === 'dropped') return done();
    if (state.kind === 'passed') {
      if (state.watched?.sees(chunk) !== true) return done(null, chunk);
      return done(new Error('an answer that is too long to be read may have a list of tools'));
    }
    state.bytes.add(chunk);
    if (!this.#rules.isOpaque && state.bytes.length <= MAX_LIST_BYTES) return done();
    void this.#decideStart(state.bytes.taken(), done);
  }

  override _flush(done: TransformCallback): void {
    if (this.#state.kind === 'held') void this.#decideWhole(this.#state.bytes.taken(), done);
    else done();
  }

  async #decideStart(start: Buffer, done: TransformCallback): Promise<void> {
    const tools = await listedOrNull(this.#rules);
    const mark = new ToolsMark();
    const isSeen = mark.sees(start);
    const isDropped = tools !== null && (this.#rules.isOpaque || isSeen || isWide(start));
    this.#state = isDropped ? { kind: 'dropped' } : { kind: 'passed', watched: tools === null ? null : mark };
    this.#decided?.(isDropped ? 'shown' : this.#rules.unchanged);
    done(null, isDropped ? this.#rules.unreadable() : start);
  }

  async #decideWhole(bytes: Buffer, done: TransformCallback): Promise<void> {
    const shown = isWide(bytes) || hasToolsMark(bytes) ? await this.#shown(bytes) : null;
    this.#state = { kind: 'dropped' };
    this.#decided?.(shown === null ? this.#rules.unchanged : 'shown');
    if (shown !== null || bytes.length > 0) done(null, shown ?? bytes);
    else done();
  }

  /** What the client gets in place of the answer; `null`: the answer as it came. */
  async #shown(bytes: Buffer): Promise<string | null> {
    const tools = await listedOrNull(this.#rules);
    if (tools === null) return null;
    const read = parsedOrNull(bytes.toString());
    if (read !== null && !isToolListAnswer(read.message) && read.isExact()) return null;
    return (read === null ? null : shownMessageText(read.message, tools)) ?? this.#rules.unreadable();
  }
}

/** Whether bytes may be JSON in UTF-16 or UTF-32, which some clients detect by a zero byte. */
const isWide = (bytes: Buffer): boolean => bytes.subarray(0, 4).includes(0);
