/**
 * Deliberate mistakes, in the protocol or in the operation of a database. The simulation must find each of them, which shows that it looks
 * where it matters.
 */
export const MISTAKES = {
  'numbers-before-commit': 'numbers of the feed are given before the commit, as a sequence gives them',
  'local-commit': 'a commit does not wait for a standby',
  'warning-ignored': 'a cancelled wait for a standby counts as a commit',
  'lower-lsn': 'a failover promotes the standby that has less of the log',
  'renewed-by-read': 'a lease is renewed after a read instead of a synced commit',
  'lease-from-answer': 'a lease runs from the arrival of the answer instead of the sending of its ping',
  'monotonic-lease':
    'a lease does not end by the wall clock, although the monotonic clock of a paused machine stood still',
  'acknowledged-at-commit': 'an end is acknowledged once it is committed',
  'noted-after-read': 'a holder is noted after the read, and nobody asks whether the feed went on meanwhile',
  'older-card-applied': 'a card is applied although a newer one is held',
  'dropped-without-number': 'a dropped card removes its holder although it was opened again',
  'unsynced-card': 'a card is sent although no synced commit has followed what it shows',
  'no-margin': 'a fence has no margin for clocks that run at different speeds',
  'fenced-too-early': 'a holder counts as fenced after half of its lease',
  'silent-replica-ignored': 'a silent authority counts as fenced at once',
  'left-at-once': 'an authority that ends is taken off the list although its sidecars have leases',
  'opened-elsewhere': 'a card is opened at an authority to which the sidecar has no stream',
  'repeat-unsynced': 'a change that is asked again is answered from what readers see, without a synced commit',
  'loss-unnoticed': 'an authority does not compare the database with what it has seen in it',
  'loss-kept-to-itself': 'an authority that notices a loss of commits does not say it in the database',
  'loss-in-ledger-untold': 'an authority whose ledger has more records than the database only ends',
  'position-unmarked': 'the position of a sidecar is compared by its number alone',
  'restore-keeps-tasks': 'a restored backup begins a new epoch, but its open tasks stay open',
  'restored-in-haste': 'ends are acknowledged before the leases of the epoch before are over',
  'older-copy-shown': 'an operator is told the state of a task from an older copy of the database',
  'one-ledger-is-enough': 'a record leaves the database once the ledgers that were heard of of late have it',
  'forgotten-before-written': 'a record leaves the database before a disk has it',
  'forgotten-in-older-copy': 'records are forgotten in a database that lacks changes which the authority has seen',
  'unsynced-record': 'a ledger takes a record that no synced commit has followed',
  'missing-untold': 'a ledger does not say which records were gone before it had them',
  'seal-key-in-database':
    'the key that seals the rows of tasks and tokens is known to who has the login of the database',
  'rows-go-back': 'the database lets an earlier row of a task be put back',
  'stop-acknowledged-at-commit': 'a stop is acknowledged once it is committed',
  'joined-without-orders': 'a sidecar that connects gets a lease before it has the orders',
  'order-lost': 'a change of the orders is not sent before its position',
  'stale-orders-used': 'a call without a task is allowed by the orders of a lease that is over',
  'share-given-twice': 'what a sidecar is lent of a budget is not counted as spent, so another one gets it too',
  'share-over-lease': 'a use is allowed from a share although the lease is over',
  'share-refilled': 'a sidecar that starts again has the shares that its earlier life was lent',
  'share-returned-twice': 'what is given back of a share is taken back again when the sidecar asks again',
  'share-of-other-window': 'what was lent of a limit in one window is spent in a later one',
  'share-of-window-before':
    'a sidecar whose clock is ahead spends in the next window of a limit what was lent of the one before',
  'history-unchecked': 'a use is settled although the history has changed since its decision',
} as const;

export type Mistake = keyof typeof MISTAKES;

/** Mistakes that show where authorities have ledgers, and operators look at tasks. */
const WITH_LEDGERS: ReadonlySet<Mistake> = new Set([
  'older-copy-shown',
  'loss-kept-to-itself',
  'loss-in-ledger-untold',
  'one-ledger-is-enough',
  'forgotten-before-written',
  'forgotten-in-older-copy',
  'unsynced-record',
  'missing-untold',
]);

/** Mistakes that show if operators give orders. */
const WITH_ORDERS: ReadonlySet<Mistake> = new Set([
  'stop-acknowledged-at-commit',
  'joined-without-orders',
  'order-lost',
  'stale-orders-used',
]);

/** Mistakes that show if sidecars have shares of budgets. */
const WITH_SHARES: ReadonlySet<Mistake> = new Set([
  'share-given-twice',
  'share-over-lease',
  'share-refilled',
  'share-returned-twice',
  'share-of-other-window',
  'share-of-window-before',
]);

/** Mistakes that show if a limit over all tasks has windows. */
const WITH_WINDOWS: ReadonlySet<Mistake> = new Set(['share-of-other-window', 'share-of-window-before']);

/** Whether a mistake shows there alone. */
export const isWithShares = (mistake: Mistake | null): boolean => mistake !== null && WITH_SHARES.has(mistake);

/** Whether a mistake shows if a limit over all tasks has windows. */
export const isWithWindows = (mistake: Mistake | null): boolean => mistake !== null && WITH_WINDOWS.has(mistake);

/** Whether a mistake shows there alone. */
export const isWithOrders = (mistake: Mistake | null): boolean => mistake !== null && WITH_ORDERS.has(mistake);

/** Whether a mistake shows there alone. */
export const isWithLedgers = (mistake: Mistake | null): boolean => mistake !== null && WITH_LEDGERS.has(mistake);

/**
 * Where the search for a seed that shows a mistake begins; 1 for those not listed. Few seeds show these: it begins shortly before one. From seed 1 the
 * search takes four times as long.
 */
export const FIRST_SEEDS: Partial<Record<Mistake, number>> = {
  'dropped-without-number': 155,
  'forgotten-in-older-copy': 545,
  'lower-lsn': 98,
  'no-margin': 1_431,
  'position-unmarked': 9_411,
  'renewed-by-read': 581,
  'repeat-unsynced': 235,
  'share-of-window-before': 161,
  'share-refilled': 246,
  'share-returned-twice': 109,
  'unsynced-card': 135,
  'warning-ignored': 167,
};

/** Whether a name is that of a mistake. */
export const isMistake = (name: string): name is Mistake => Object.hasOwn(MISTAKES, name);
