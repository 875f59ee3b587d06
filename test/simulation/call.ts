import type { Party } from './party.ts';
import { Deadline } from './schedule.ts';

/** A question of a party, which hears of it once: the answer, or that it is lost, after its patience at the latest. */
export class Call<T> extends Deadline {
  readonly #party: Party;
  readonly #lost: T;
  readonly #told: (answer: T) => void;

  constructor(
    party: Party,
    { patienceMs, lost, told }: { readonly patienceMs: number; readonly lost: T; readonly told: (answer: T) => void },
  ) {
    super();
    this.#party = party;
    this.#lost = lost;
    this.#told = told;
    party.deadline(patienceMs, this);
  }

  tell(answer: T): void {
    if (this.isDropped) return;
    this.isDropped = true;
    this.#told(answer);
  }

  /** The connection is lost: the party will notice. */
  lose(): void {
    this.#party.after(1, () => this.tell(this.#lost));
  }

  happen(): void {
    this.#party.run(() => this.tell(this.#lost));
  }
}
