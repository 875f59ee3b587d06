import { Transform, type TransformCallback } from 'node:stream';

/** How the start of a stream is rewritten. */
export interface StartRules {
  /** A longer start passes unchanged. */
  readonly maxBytes: number;
  /** Gives the start in its new form; `null` while more of it is needed. @param isWhole whether the stream has ended */
  readonly rewritten: (start: Buffer, isWhole: boolean) => Buffer | null;
}

/** Holds the start of a stream until it can be rewritten; the rest passes as it comes. */
export class HeldStart extends Transform {
  readonly #rules: StartRules;
  #held: Buffer | null = Buffer.alloc(0);

  constructor(rules: StartRules) {
    super();
    this.#rules = rules;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#held === null) return done(null, chunk);
    const held = Buffer.concat([this.#held, chunk]);
    const rewritten = this.#rules.rewritten(held, false);
    const isHeld = rewritten === null && held.length <= this.#rules.maxBytes;
    this.#held = isHeld ? held : null;
    return isHeld ? done() : done(null, rewritten ?? held);
  }

  override _flush(done: TransformCallback): void {
    if (this.#held === null) return done();
    return done(null, this.#rules.rewritten(this.#held, true) ?? this.#held);
  }
}
