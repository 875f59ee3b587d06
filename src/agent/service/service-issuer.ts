import { Agent } from 'node:https';
import type { Ports } from '../../core/runtime/ports.ts';
import type { OwnSvid } from '../run/own-svid.ts';
import type { IssuerPlace } from '../task/issuer-call.ts';
import { IssuerClient } from '../task/issuer-client.ts';
import { issuerProblem } from '../task/issuer-problem.ts';
import type { ProofKey } from '../task/proof-key.ts';
import { IssuerLane } from './issuer-lane.ts';

/** Connections to the issuer, within the 64 that it grants one client by default. */
const CONNECTIONS = 24;
/** An idle connection is kept for less than the issuer keeps it, so that none is used as it closes. */
const IDLE_MS = 4_000;
/** Requests under way: new tasks and ends do not wait for renewals. */
const LANES = { declare: 12, end: 8, renew: 4, tools: 4 } as const;

/** A new task that has waited for its turn for longer is not asked for: its client has given up, or tries again. */
const LONGEST_WAIT_MS = 5_000;

/** The client that waits for a new task. */
export interface Waiting {
  readonly traceparent: string | null;
  readonly isGone: () => boolean;
}

/** The issuer as the tasks of one helper ask it: over kept connections, with few requests at once. */
export interface ServiceIssuer extends Pick<IssuerClient, 'further' | 'task' | 'tools' | 'end' | 'suspend' | 'resume'> {
  readonly declare: (
    declaration: Parameters<IssuerClient['declare']>[0],
    waiting: Waiting,
  ) => ReturnType<IssuerClient['declare']>;
  /** Declarations that wait for their turn. */
  readonly waiting: () => number;
  /** Closes all connections. */
  readonly close: () => void;
}

/**
 * Makes the client of the issuer for one helper: at most 24 connections, which are kept for 4 s while unused. A declaration that
 * has waited 5 s for its turn fails with `temporarily_unavailable`.
 */
export function serviceIssuer(
  place: IssuerPlace,
  {
    svid,
    proofKey,
    ports,
  }: {
    readonly svid: OwnSvid;
    readonly proofKey: ProofKey | null;
    readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs'>;
  },
): ServiceIssuer {
  // A resumed session of TLS would show the certificate of its first connection.
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, timeout: IDLE_MS, maxCachedSessions: 0 });
  const client = new IssuerClient(place, { svid, nowMs: ports.nowMs, proofKey, agent });
  const lanes = {
    declaring: new IssuerLane(LANES.declare),
    ending: new IssuerLane(LANES.end),
    renewing: new IssuerLane(LANES.renew),
    listing: new IssuerLane(LANES.tools),
  };
  return {
    declare: (declaration, { isGone, traceparent }) => {
      const sinceMs = ports.monotonicMs();
      return lanes.declaring.run(async () =>
        isGone() || ports.monotonicMs() > sinceMs + LONGEST_WAIT_MS
          ? issuerProblem('temporarily_unavailable', 'the issuer is slow, and too many tasks wait for it')
          : client.declare(declaration, traceparent),
      );
    },
    end: (...of) => lanes.ending.run(() => client.end(...of)),
    suspend: (taskId) => lanes.ending.run(() => client.suspend(taskId)),
    further: (taskId) => lanes.renewing.run(() => client.further(taskId)),
    task: (taskId) => lanes.renewing.run(() => client.task(taskId)),
    tools: (taskId) => lanes.listing.run(() => client.tools(taskId)),
    resume: (taskId) => lanes.renewing.run(() => client.resume(taskId)),
    waiting: () => lanes.declaring.waiting,
    close: () => agent.destroy(),
  };
}
