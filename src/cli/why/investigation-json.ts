/** An investigation as JSON: what its text says, with the records and their proofs. */
import type { JsonValue } from '../../core/ledger/canonical-json.ts';
import type { Investigation, ProvedPart } from './investigation.ts';
import type { Read } from './read-record.ts';
import type { PlacedRecord } from './searched-logs.ts';
import type { Match, Matches } from './value-matches.ts';

/** A record with its number and the origin of its log. */
const recordJson = ({ record, seq, log }: PlacedRecord): { readonly [name: string]: JsonValue } => ({
  ...record,
  seq,
  log,
});

const readJson = (read: Pick<Read<unknown>, 'placed'> | null): ReturnType<typeof recordJson> | null =>
  read === null ? null : recordJson(read.placed);

const matchJson = ({ use, hasPassed, placed: { seq, log } }: Match) => ({
  decisionId: use.decisionId,
  at: use.at,
  agent: use.agent,
  task: use.task,
  action: use.action,
  decision: use.decision,
  reason: use.reason,
  hasPassed,
  method: use.method,
  host: use.host,
  path: use.path,
  ...(use.args === undefined ? {} : { args: use.args }),
  seq,
  log,
});

const proofJson = ({ what, placed: { seq, log }, proof }: ProvedPart) => ({
  what,
  seq,
  log,
  ...(proof.kind === 'proof'
    ? { isProved: true, size: proof.size, proof: proof.text }
    : { isProved: false, because: proof.kind }),
});

/** The answer as one object. @param found `null` if the value names no call, or calls of several tasks */
export function whyJson(
  value: string,
  {
    matches,
    found,
    faults,
  }: { readonly matches: Matches; readonly found: Investigation | null; readonly faults: readonly string[] },
): object {
  return {
    value,
    matches: matches.calls.map(matchJson),
    isMore: matches.isMore,
    found: found === null ? null : foundJson(found),
    faults,
  };
}

function foundJson({
  call,
  why,
  fate,
  outcome,
  chain,
  token,
  policies,
  inForce,
  granting,
  rest,
  proofs,
}: Investigation): object {
  return {
    call: { ...matchJson(call), record: recordJson(call.placed) },
    why,
    fate,
    outcome: readJson(outcome),
    chain: chain.map(({ task, intent, end, delegated }) => ({
      task,
      intent: readJson(intent),
      end: readJson(end),
      delegated: readJson(delegated),
    })),
    token: readJson(token),
    policies,
    inForce: readJson(inForce),
    granting,
    rest:
      rest === null
        ? null
        : {
            uses: rest.uses,
            others: rest.others.map(readJson),
            more: rest.more,
            events: rest.events.map(readJson),
            parts: rest.parts.map(readJson),
            isCut: rest.isCut,
          },
    sightings: rest?.sightings ?? [],
    areSightingsCut: rest?.areSightingsCut ?? false,
    proofs: proofs.map(proofJson),
  };
}
