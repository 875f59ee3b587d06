const MAX_ENTRIES = 4_000;
/** Most characters of a memoised key: with 4,000 keys, at most 16 MiB. */
const MAX_KEY = 2_048;

/** Memoises answers by key. At 4,000 entries all are dropped; the answer to a longer key is made each time. */
export class RememberedAnswers<Answer> {
  readonly #answers = new Map<string, { readonly answer: Answer }>();

  /** The memoised answer to a key, made if there is none. */
  of(key: string, make: () => Answer): Answer {
    const known = this.#answers.get(key);
    if (known !== undefined) return known.answer;
    const answer = make();
    if (this.#answers.size >= MAX_ENTRIES) this.#answers.clear();
    if (key.length <= MAX_KEY) this.#answers.set(key, { answer });
    return answer;
  }
}
