import { Transform, type TransformCallback } from 'node:stream';
import { HeldBytes } from './listing/held-bytes.ts';

/** How the start of a stream is rewritten. */
export interface StartRules {
  /** A longer start passes unchanged. */
  readonly maxBytes: number;
  /**
   * Gives the start in its new form; `null` while more of it is needed. Called with each chunk, with all bytes up to there, which it must not keep.
   * @param isWhole whether the stream has ended
   */
  readonly rewritten: (start: Buffer, isWhole: boolean) => Buffer | null;
}

/** Holds the start of a stream until it can be rewritten; the rest passes as it comes. */
export class HeldStart extends Transform {
  readonly #rules: StartRules;
  /** `null` once the start has passed. */
  #held: HeldBytes | null = new HeldBytes();

  constructor(rules: StartRules) {
    super();
    this.#rules = rules;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#held === null) return done(null, chunk);
    this.#held.add(chunk);
    const { bytes } = this.#held;
    const rewritten = this.#rules.rewritten(bytes, false);
    if (rewritten === null && bytes.length <= this.#rules.maxBytes) return done();
    this.#held = null;
    return done(null, rewritten ?? bytes);
  }

  override _flush(done: TransformCallback): void {
    if (this.#held === null) return done();
    const { bytes } = this.#held;
    return done(null, this.#rules.rewritten(bytes, true) ?? bytes);
  }
}
