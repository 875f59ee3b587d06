import { Transform, type TransformCallback } from 'node:stream';
import type { ListedTools } from '../../task/listed-tools.ts';
import { HeldBytes } from './held-bytes.ts';
import { parsedOrNull } from './parsed-message.ts';
import { shownMessageText } from './shown-list.ts';

/** The longest list that is read, in bytes. */
export const MAX_LIST_BYTES = 4_194_304;

/** How a list is shown. */
export interface ListingRules {
  /** The tools of the task; `null`: nothing is hidden. */
  readonly listed: () => Promise<ListedTools | null>;
  /** The answer, in JSON-RPC, in place of a list that cannot be read. */
  readonly unreadable: () => string;
}

/**
 * An answer to `tools/list` in JSON, with only the tools that the task may use. INVARIANT: what the client gets is what was read
 * here, serialised anew, so that no two parsers can see two lists; a list that cannot be read, or is longer than
 * `MAX_LIST_BYTES`, is not passed on.
 */
export class WholeList extends Transform {
  readonly #rules: ListingRules;
  readonly #held = new HeldBytes();
  #isTooLong = false;

  constructor(rules: ListingRules) {
    super();
    this.#rules = rules;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (!this.#isTooLong) this.#held.add(chunk);
    if (this.#held.length > MAX_LIST_BYTES) {
      this.#isTooLong = true;
      this.#held.taken();
    }
    done();
  }

  override _flush(done: TransformCallback): void {
    const bytes = this.#isTooLong ? null : this.#held.taken();
    if (bytes?.length === 0) return done();
    void this.#shownBy(bytes, done);
  }

  async #shownBy(bytes: Buffer | null, done: TransformCallback): Promise<void> {
    const tools = await listedOrNull(this.#rules);
    done(null, tools === null && bytes !== null ? bytes : this.#shown(bytes, tools));
  }

  #shown(bytes: Buffer | null, tools: ListedTools | null): string {
    const read = bytes === null ? null : parsedOrNull(bytes.toString());
    const shown = read === null || tools === null ? null : shownMessageText(read.message, tools);
    return shown ?? this.#rules.unreadable();
  }
}

/** The tools of the task; `null`, so that nothing is hidden, also if they cannot be fetched. */
export const listedOrNull = ({ listed }: Pick<ListingRules, 'listed'>): Promise<ListedTools | null> =>
  listed().catch(() => null);
