/** Most steps of one import: members that are merged, and parameters and members that are looked at. */
const MAX_STEPS = 1_000_000;

/**
 * Bounds what one import costs, whatever its description refers to: a few lines can refer to one part from everywhere, and so
 * describe more than any catalog can hold. Once the steps are used up, nothing more is read, and the import is refused.
 */
export class Effort {
  #left: number;

  constructor(maxSteps = MAX_STEPS) {
    this.#left = maxSteps;
  }

  /** Takes steps; whether there were enough. */
  take(steps: number): boolean {
    this.#left -= steps;
    return this.#left >= 0;
  }

  get isSpent(): boolean {
    return this.#left < 0;
  }
}

/** The refusal of a description that takes more steps. */
export const EFFORT_SPENT = {
  problem: 'it describes too much to be read at once: select what you need with `--only`',
} as const;
