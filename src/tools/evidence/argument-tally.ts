/** Counts the recorded values of the arguments of allowed uses. */
import { type EvidenceMembers, fieldText } from './record-members.ts';

/** The recorded values of one argument in the allowed uses of an action; those beyond 1,000 arguments together, as `(others)`. */
export interface RecordedArgument {
  readonly action: string;
  readonly argument: string;
  readonly uses: number;
  /** Exact sum of whole numbers; `null` if the values are not whole. */
  readonly sum: string | null;
  readonly largest: number | null;
}

const MAX_NAMES = 1_000;
/** The name under which arguments beyond the bound are counted. */
const OTHERS = '(others)';

/** Counts and sums by action and argument. */
export class ArgumentTally {
  readonly #byName = new Map<
    string,
    { action: string; argument: string; uses: number; sum: bigint | null; largest: number | null }
  >();
  #others = 0;

  add(record: EvidenceMembers): void {
    const action = fieldText(record, 'action');
    const { args } = record;
    if (action === null || typeof args !== 'object' || args === null || Array.isArray(args)) return;
    for (const [argument, value] of Object.entries(args)) {
      const key = JSON.stringify([action, argument]);
      const before = this.#byName.get(key);
      if (before === undefined && this.#byName.size >= MAX_NAMES) {
        this.#others += 1;
        continue;
      }
      const { uses, sum, largest } = before ?? { uses: 0, sum: 0n, largest: null };
      const whole = typeof value === 'number' && Number.isSafeInteger(value) ? value : null;
      this.#byName.set(key, {
        action,
        argument,
        uses: uses + 1,
        sum: sum === null || whole === null ? null : sum + BigInt(whole),
        largest: whole === null ? null : Math.max(largest ?? whole, whole),
      });
    }
  }

  found(): readonly RecordedArgument[] {
    const named = Array.from(this.#byName.values(), ({ sum, largest, ...rest }) => ({
      ...rest,
      sum: sum === null ? null : String(sum),
      largest: sum === null ? null : largest,
    }));
    const others = { action: OTHERS, argument: OTHERS, uses: this.#others, sum: null, largest: null };
    return this.#others === 0 ? named : [...named, others];
  }
}
