import { appendFileSync } from 'node:fs';

/**
 * The failure matrix: what goes wrong, and the bound that holds then. The tests beside this file show the rows; `../matrix.ts` runs them
 * and prints the table with the worst that was seen.
 */
export const rows = {
  'D-01': { fault: 'the process of the primary dies under load', bound: 'no acknowledged end is lost' },
  'D-02': { fault: 'the primary is gone without a word', bound: 'no acknowledged end is lost' },
  'D-03': {
    fault: 'the primary is cut off from its standbys alone',
    bound: 'it acknowledges nothing and renews no lease',
  },
  'D-04': { fault: 'a standby that lacks commits is promoted', bound: 'an authority that has seen more stops' },
  'D-05': { fault: 'a backup is restored', bound: 'an authority that has seen more stops' },
  'D-06': { fault: 'one authority loses the database', bound: 'its sidecars go to another within the lease' },
  'D-07': { fault: 'a commit is released before a standby has it', bound: 'it is not acknowledged before one has it' },
  'D-08': { fault: 'an authority dies', bound: 'no plain use is denied' },
  'D-09': { fault: 'all authorities are gone', bound: 'uses are denied at the end of the lease' },
  'D-10': {
    fault: 'a sidecar is cut off',
    bound: 'uses are denied at the end of the lease, and ends are enforced by then',
  },
  'D-11': { fault: 'a sidecar is stopped for longer than its lease', bound: 'no use is allowed that ended meanwhile' },
  'D-12': { fault: 'clocks are an hour off', bound: 'leases are unaffected' },
  'D-13': { fault: 'a sidecar reads slowly', bound: 'it alone is late, and ends are enforced by its lease' },
  'D-14': { fault: 'all sidecars connect at once', bound: 'all are back within 20 s' },
  'D-15': { fault: 'many writers race on one budget through failovers', bound: 'the budget is never over' },
  'D-16': { fault: 'the store of records is away', bound: 'uses are denied once the queue is full' },
  'D-17': { fault: 'a pod is killed', bound: 'its missing records are known, and none is of high risk' },
  'D-18': { fault: 'a policy or a key changes during a partition', bound: 'the lease ends first' },
  'D-19': {
    fault: 'an authority is away while the disk of the other one is lost',
    bound: 'no record of an end or of a use of high risk is lost, and a record that is missing is missed',
  },
  'D-20': {
    fault: 'an older backup is put in place beneath running authorities',
    bound: 'no answer is from it, and every authority says what happened and what to do',
  },
  'D-21': {
    fault: 'the machine of a sidecar is paused, and its monotonic clock with it',
    bound: 'no use is allowed once its wall clock is ahead of its lease',
  },
  'D-22': {
    fault: 'the authorities are starved of processor time for 8 s',
    bound: 'all sidecars are back within 20 s of its end',
  },
  'D-23': {
    fault: 'the database, and an authority, are far away',
    bound: 'the primary is found, and a use that is denied for lateness takes nothing from a budget once that is known',
  },
  'D-24': { fault: 'the clock of an authority is ahead', bound: 'no settled use is forgotten before its time' },
  'D-25': { fault: 'a transaction is held open in the database', bound: 'it is reported' },
  'D-26': {
    fault: 'callers at several authorities race on one limit over all tasks through failovers',
    bound: 'the limit is never over',
  },
  'D-27': {
    fault: 'the authority that sends signals dies or loses the database while the receiver fails',
    bound: 'each end is told to the receiver, and if twice then with one `jti`',
  },
  'D-28': {
    fault: 'a sidecar that was lent a share of a budget is cut off for 10 s',
    bound: 'the budget is never over, and all of it can be used afterwards',
  },
  'S-01': { fault: 'an authority is stopped', bound: 'its sidecars go to another, and ends are enforced by then' },
  'S-02': {
    fault: 'the primary is stopped',
    bound: 'uses are denied at the end of the lease, until another is promoted',
  },
  'S-03': { fault: 'a standby is stopped', bound: 'no plain use is denied' },
  'F-01': {
    fault: 'the disk of the database is full',
    bound: 'what is acknowledged is kept, and uses are denied at the end of the lease',
  },
  'P-01': { fault: 'under Patroni, a switch-over', bound: 'no acknowledged end is lost' },
  'P-02': { fault: 'under Patroni, PostgreSQL of the leader dies', bound: 'no acknowledged end is lost' },
  'P-03': { fault: 'under Patroni, the node of the leader dies', bound: 'no acknowledged end is lost' },
  'V-01': {
    fault: 'the clock of an authority is off',
    bound: 'what it is asked to end, suspend, revoke or narrow has ended for every later use',
  },
} as const satisfies Readonly<Record<string, { readonly fault: string; readonly bound: string }>>;

export type RowName = keyof typeof rows;

/** Figures of one run, by what they count. */
export type Figures = Readonly<Record<string, number>>;

/** Title of the test of a row. */
export const titleOf = (name: RowName): string => `${name}, ${rows[name].fault}: ${rows[name].bound}`;

/** Names the file that figures are written to, a line each; without it they are dropped. */
export const FIGURES_FILE = 'REMIT_MATRIX_FIGURES';

/** Names how many failovers a test of many runs. */
export const FAILOVERS = 'REMIT_MATRIX_FAILOVERS';

/** How many failovers a test of many runs: 3, or what the table asks for. */
export const failovers = (): number => Number(process.env[FAILOVERS] ?? 3);

/** Whether this run is for the table. */
export const isForTable = (): boolean => process.env[FIGURES_FILE] !== undefined;

/** How many sidecars connect at once: 200, or 2,000 for the table. */
export const herd = (): number => (isForTable() ? 2_000 : 200);

/** Reports what a test of a row has seen, for the table. */
export function seen(name: RowName, figures: Figures): void {
  const file = process.env[FIGURES_FILE];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ name, figures })}\n`);
}
