/**
 * Facts about a denial that help a verified caller to correct its call, besides the reason.
 *
 * INVARIANT: names of the catalog and of the intent, what was expected of them, and counts of the caller's own task. Never a
 * value of the call, policy text or a claim. The only text of the call is the name of an argument that the catalog does not have,
 * escaped and truncated.
 */
export interface DenialFacts {
  /** Id of the catalogued action that was called. */
  readonly action?: string;
  /** The argument that was refused, by its name in the catalog, and what it must be (`a whole number of 0 or more`). */
  readonly argument?: { readonly name: string; readonly expected: string };
  /**
   * The constraint that the use exceeds: what it allows, and how much of it was used before, in its own unit. Sums of decimals
   * have up to 4 places.
   */
  readonly budget?: { readonly limit: number; readonly used: number };
  /**
   * The limit over all tasks that the use exceeds: its id, what it counts (`calls`, `amount EUR`), what it allows, how much of it
   * was used before, and when its window ends (RFC 3339; `a task ends` for a limit of open tasks).
   */
  readonly limit?: {
    readonly id: string;
    readonly counts: string;
    readonly max: number;
    readonly used: number;
    readonly ends: string;
  };
  /** Id of the catalogued action of the same server that is most like the unknown action. */
  readonly nearest?: string;
}
