import { Agents } from './agents.ts';
import { areLedgersWhole, auditLedgers } from './audit.ts';
import { Faults } from './faults.ts';
import type { Mistake } from './mistakes.ts';
import { LEASE_MS, LOOK_MS, MARGIN_MS } from './terms.ts';
import { World } from './world.ts';

/** What one seed has shown. */
export interface Run {
  readonly seed: number;
  readonly violations: readonly string[];
  /** The faults of the run, each with its instant. */
  readonly faults: readonly string[];
  readonly allowed: number;
  readonly acknowledged: number;
}

const FAULTS_MS = 2_500;
/** After the last fault: time to reconnect and for all leases to run out. */
const CALM_MS = LEASE_MS + 500;
/** To allow a new task everywhere, which takes 1.3 s if a fifth of all messages are late, and to acknowledge its end, which takes a lease at most. */
const PROOF_MS = 3 * (LEASE_MS + MARGIN_MS);
/** After it: time for the ledgers to take what is left. */
const LEDGERS_MS = 2_000;

/** Runs one seed from its start to its end. The same seed gives the same run. */
export function simulate(seed: number, mistake: Mistake | null = null): Run {
  const world = new World(seed, mistake);
  const { schedule, promise } = world;
  schedule.runUntil(300);
  const agents = new Agents(world);
  const faults = new Faults(world, FAULTS_MS);
  schedule.runUntil(FAULTS_MS);
  agents.over();
  faults.heal();
  let nowMs = FAULTS_MS;
  while (!faults.isHealed) schedule.runUntil((nowMs += LOOK_MS));
  schedule.runUntil((nowMs += CALM_MS));
  agents.prove(PROOF_MS);
  for (let ms = 50; ms <= PROOF_MS && !agents.isProven; ms += 50) schedule.runUntil(nowMs + ms);
  if (world.hasLedgers) {
    const fromMs = schedule.nowMs;
    for (let ms = 50; ms <= LEDGERS_MS && !areLedgersWhole(world); ms += 50) schedule.runUntil(fromMs + ms);
    auditLedgers(world);
  }
  for (const { name, now } of world.sidecars)
    for (const id of now.untold()) promise.broken(`${name} holds task \`${id}\`, and no change of it is sent to it`);
  const { violations, allowed, acknowledged } = promise;
  return { seed, violations, faults: faults.log, allowed, acknowledged };
}
