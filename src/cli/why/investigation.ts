/** Everything about a recorded call that its records say: who, by which intent, by whose delegation, by which policies, and what else. */
import { fateOf } from '../../core/ledger/use-fates.ts';
import type { Fate } from '../../core/ledger/use-fates.ts';
import type { ProofOf } from '../../core/ledger/log/proof-of.ts';
import type { UseRecord } from '../../core/ledger/record.ts';
import type { PolicySource } from '../../core/policy/loading/source.ts';
import { SetTexts } from '../../tools/evidence/set-texts.ts';
import { whyOf } from '../explain/why.ts';
import type { Why } from '../explain/why.ts';
import { inForceSince, policiesThen } from './policies-then.ts';
import type { PoliciesThen } from './policies-then.ts';
import { readAll, recordReaders } from './read-record.ts';
import type { Read, ReadOutcome, ReadPolicySet, ReadToken } from './read-record.ts';
import type { PlacedRecord, SearchedLogs } from './searched-logs.ts';
import { taskChain } from './task-chain.ts';
import type { ChainedTask } from './task-chain.ts';
import { taskRest } from './task-rest.ts';
import type { TaskRest } from './task-rest.ts';
import type { Match } from './value-matches.ts';

/** A record that the investigation relies on, with its proof. */
export interface ProvedPart {
  /** What the record is: `call`, `intent`, … */
  readonly what: string;
  readonly placed: PlacedRecord;
  readonly proof: ProofOf;
}

/** What became of a call; `withdrawn` if its allow was taken back, `null` if no record says. */
export type UpstreamFate = Fate | 'withdrawn' | null;

/** What is known about a call. */
export interface Investigation {
  readonly call: Match;
  readonly why: Why;
  readonly fate: UpstreamFate;
  readonly outcome: Read<ReadOutcome> | null;
  /** Its task and those above it, nearest first; empty for a call without a task. */
  readonly chain: readonly ChainedTask[];
  /** The issuance of its token. */
  readonly token: Read<ReadToken> | null;
  /** The policies that decided the call. */
  readonly policies: PoliciesThen | null;
  /** The record by which their set came into force. */
  readonly inForce: Read<ReadPolicySet> | null;
  /** The policies that granted the intent. */
  readonly granting: PoliciesThen | null;
  readonly rest: TaskRest | null;
  readonly proofs: readonly ProvedPart[];
}

/** Investigates a recorded call. @param given policy folders, whose text is used if a set has its hash and no ledger keeps it */
export function investigated(call: Match, logs: SearchedLogs, given: readonly PolicySource[] = []): Investigation {
  const places = { logs, texts: new SetTexts(logs.folders, given) };
  const { use } = call;
  const { task, decisionId } = use;
  const chain = task === null ? [] : taskChain(task, logs);
  const intent = chain[0]?.intent ?? null;
  const token = tokenOf(use, logs);
  const policies = policiesThen(use, places);
  const inForce = inForceSince(use, logs);
  const granting = intent === null ? null : policiesThen(intent.value, places);
  const found = logs.found({ decisionId, kind: 'outcome' }, { limit: 1, isNewestFirst: true });
  const [outcome = null] = readAll(logs, found, recordReaders.outcome);
  return {
    call,
    why: whyOf(use),
    outcome,
    fate: callFate(use, outcome, logs),
    chain,
    token,
    policies,
    inForce,
    granting,
    rest: task === null ? null : taskRest(task, use, logs),
    proofs: provedParts({ call, chain, token, inForce }, logs),
  };
}

/** The record of the issuance of the token of a use. */
function tokenOf({ task, jtiDigest }: UseRecord, logs: SearchedLogs): Read<ReadToken> | null {
  if (task === null || jtiDigest === null) return null;
  const found = logs.found({ task, kind: 'token', token: jtiDigest }, { limit: 1, isNewestFirst: false });
  return readAll(logs, found, recordReaders.token)[0] ?? null;
}

/** Most records of one trace that are searched for the withdrawal of an allow. */
const MAX_OF_TRACE = 1_000;

function callFate(
  { decision, decisionId, traceId }: UseRecord,
  outcome: Read<ReadOutcome> | null,
  logs: SearchedLogs,
): UpstreamFate {
  if (outcome !== null) return fateOf(outcome.value);
  if (decision === 'deny') return null;
  const ofTrace = logs.found({ traceId, kind: 'use' }, { limit: MAX_OF_TRACE, isNewestFirst: true });
  return ofTrace.some(({ record }) => record['withdraws'] === decisionId) ? 'withdrawn' : null;
}

function provedParts(
  { call, chain, token, inForce }: Pick<Investigation, 'call' | 'chain' | 'token' | 'inForce'>,
  logs: SearchedLogs,
): readonly ProvedPart[] {
  const parts: (readonly [string, PlacedRecord | null | undefined])[] = [
    ['call', call.placed],
    ['token', token?.placed],
    ...chain.flatMap(({ intent, delegated }, depth) => [
      [depth === 0 ? 'intent' : `intent-above-${depth}`, intent?.placed] as const,
      [`delegation-${depth}`, delegated?.placed] as const,
    ]),
    ['policy-set', inForce?.placed],
  ];
  return parts.flatMap(([what, placed]) =>
    placed === null || placed === undefined ? [] : [{ what, placed, proof: logs.proofOf(placed) }],
  );
}
