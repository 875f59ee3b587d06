const MAX_ENTRIES = 4_000;
/** Longest key that is remembered: with 4,000 of them, at most 16 MiB. */
const MAX_KEY = 2_048;

/** Answers by key, which are forgotten all at once if there are too many. */
export class RememberedAnswers<Answer> {
  readonly #answers = new Map<string, { readonly answer: Answer }>();

  /** The answer to a key, made if it is not remembered. */
  of(key: string, make: () => Answer): Answer {
    const known = this.#answers.get(key);
    if (known !== undefined) return known.answer;
    const answer = make();
    if (this.#answers.size >= MAX_ENTRIES) this.#answers.clear();
    if (key.length <= MAX_KEY) this.#answers.set(key, { answer });
    return answer;
  }
}
