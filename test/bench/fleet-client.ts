import { setTimeout } from 'node:timers/promises';
import type { SidecarState } from '../../src/sidecar/state/sidecar-state.ts';
import { until } from '../until.ts';
import { benchSidecar, isAllowed } from './fleet-sidecar.ts';
import type { BenchToken, SidecarPlace } from './fleet-sidecar.ts';

/**
 * Some of the sidecars of a fleet, in one process, for `fleet-streams.ts`. Its parent tells it what to do, one order after another, and waits
 * for the answer to each.
 */

/** What a client is to do. */
export type ClientOrder =
  /** Adds sidecars up to a number, each with a lease. */
  | { readonly to: 'grow'; readonly place: SidecarPlace; readonly count: number }
  /** Opens a token at all of them. */
  | { readonly to: 'open'; readonly token: BenchToken }
  /** Looks whether they would allow a use. */
  | { readonly to: 'look'; readonly token: BenchToken }
  /** Waits until each has a stop, or has none. */
  | { readonly to: 'stop' | 'lift' };

/** Its answer. */
export interface ClientAnswer {
  /** Sidecars that would allow a use of the token. */
  readonly allowed: number;
  /** When each was looked at, by the monotonic clock of the machine, in milliseconds. */
  readonly lookedMs: readonly number[];
}

/** Sidecars that connect at the same time: an authority takes 200 new streams a second. */
const AT_ONCE = 25;
/** Those that open: with those of all clients they get their answers within 250 ms. */
const OPENS_AT_ONCE = 4;

const sidecars: SidecarState[] = [];

async function obey(order: ClientOrder): Promise<ClientAnswer> {
  if (order.to === 'grow') await grow(order);
  else if (order.to === 'open') await open(order.token);
  else if (order.to === 'look') return look(order.token);
  else return followed(order.to === 'stop');
  return { allowed: 0, lookedMs: [] };
}

async function grow({ place, count }: Extract<ClientOrder, { readonly to: 'grow' }>): Promise<void> {
  while (sidecars.length < count) {
    const more = Array.from({ length: Math.min(AT_ONCE, count - sidecars.length) }, () => benchSidecar(place));
    sidecars.push(...more);
    await until(() => more.every((one) => one.problem() === null), { what: `${sidecars.length} leases` });
  }
}

/** A loaded machine lets an open fail now and then. */
async function open(token: BenchToken): Promise<void> {
  const areOpen = async (): Promise<boolean> => {
    for (let from = 0; from < sidecars.length; from += OPENS_AT_ONCE) {
      const some = sidecars.slice(from, from + OPENS_AT_ONCE).filter((one) => !isAllowed(one, token));
      await Promise.all(some.map(async ({ states }) => states.open(token.key, token.jtiDigest)));
    }
    return sidecars.every((one) => isAllowed(one, token));
  };
  await until(areOpen, { what: `an open task at ${sidecars.length} sidecars` });
}

function look(token: BenchToken): ClientAnswer {
  const looks = sidecars.map((one) => ({ isAllowed: isAllowed(one, token), atMs: monotonicMs() }));
  return { allowed: looks.filter((one) => one.isAllowed).length, lookedMs: looks.map(({ atMs }) => atMs) };
}

/** Looks each millisecond until all have a stop, or none has one: `lookedMs` is when each was first seen so. */
async function followed(isStopped: boolean): Promise<ClientAnswer> {
  const lookedMs = sidecars.map(() => NaN);
  while (lookedMs.some(Number.isNaN)) {
    for (const [at, { states }] of sidecars.entries())
      if (Number.isNaN(lookedMs[at]) && states.orders().hasStops === isStopped) lookedMs[at] = monotonicMs();
    await setTimeout(1);
  }
  return { allowed: 0, lookedMs };
}

/** The monotonic clock of the machine, which all its processes share. */
const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

process.on('message', (order: ClientOrder) => {
  obey(order).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ problem: String(error) }),
  );
});
