import type { Party } from './party.ts';
import { Deadline } from './schedule.ts';

/** A question of a party, which hears of it once: the answer, or that it is lost, after its patience at the latest. */
export class Call<T> extends Deadline {
  readonly #party: Party;
  readonly #lost: T;
  readonly #onAnswer: (answer: T) => void;

  constructor(
    party: Party,
    {
      patienceMs,
      lost,
      onAnswer,
    }: { readonly patienceMs: number; readonly lost: T; readonly onAnswer: (answer: T) => void },
  ) {
    super();
    this.#party = party;
    this.#lost = lost;
    this.#onAnswer = onAnswer;
    party.deadline(patienceMs, this);
  }

  tell(answer: T): void {
    if (this.isDropped) return;
    this.isDropped = true;
    this.#onAnswer(answer);
  }

  /** The connection is lost: the party will notice. */
  lose(): void {
    this.#party.after(1, () => this.tell(this.#lost));
  }

  happen(): void {
    this.#party.run(() => this.tell(this.#lost));
  }
}
