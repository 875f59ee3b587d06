import { addCheckpointText, MAX_ANSWER_BYTES, witnessAnswerFrom } from '../../../core/ledger/proof/add-checkpoint.ts';
import type { WitnessAnswer } from '../../../core/ledger/proof/add-checkpoint.ts';
import type { WitnessKey } from '../../../core/ledger/proof/note-key.ts';
import { growthProof } from '../../../core/ledger/log/growth-proof.ts';
import type { GrowthProof } from '../../../core/ledger/log/growth-proof.ts';
import { readLog } from '../../../core/ledger/log/log-reader.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { failureCode, httpExchange } from '../../../core/runtime/system/http-exchange.ts';

/** A witness: its address, and the key of its cosignatures. */
export interface Witness {
  /** Its submission prefix. */
  readonly url: string;
  readonly key: WitnessKey;
}

/** How a witness stands to the ledger. */
export type WitnessState =
  /** It has cosigned the last checkpoint. */
  | { readonly kind: 'cosigned'; readonly size: number }
  /** It has not, for now. `size` is what it has cosigned, as far as known. */
  | { readonly kind: 'behind'; readonly size: number; readonly problem: string }
  /** It never will: it has cosigned other records than those of this ledger, or more. */
  | { readonly kind: 'contradicts'; readonly size: number; readonly problem: string };

/** What a visit needs. */
export interface VisitParts {
  /** Of the ledger. */
  readonly folder: string;
  /** Keeps a checkpoint with its cosignature. */
  readonly keep: (note: string) => void;
  /** Ends the visit. */
  readonly signal: AbortSignal;
}

/** Most requests of one visit: a ledger that has grown by much is cosigned in steps. */
const MAX_STEPS = 100;
const TIMEOUT_MS = 10_000;

/**
 * Asks a witness to cosign the last checkpoint of the ledger, unless it is known to have done so. Never rejects.
 *
 * @param known the size that it has cosigned; `null` asks it
 */
export async function visitWitness(witness: Witness, known: number | null, parts: VisitParts): Promise<WitnessState> {
  let old = known ?? 0;
  // INVARIANT: only a cosignature shows that the witness has seen these records; a size that it reports may be that of others.
  let isCosigned = known !== null;
  for (let step = 0; step < MAX_STEPS; step++) {
    const growth = growthFrom(parts.folder, old);
    if (isProblem(growth)) return { kind: 'behind', size: old, problem: growth.problem };
    if (isCosigned && growth.size === old) return { kind: 'cosigned', size: old };
    const answer = await askedWitness(witness, growth, parts.signal);
    const other = stateBy(answer, growth);
    if (other !== null) return other;
    if (answer.kind === 'cosigned') {
      const problem = kept(parts, growth.note + answer.line);
      if (problem !== null) return { kind: 'behind', size: growth.size, problem };
    }
    isCosigned = answer.kind === 'cosigned';
    old = answer.kind === 'stands-at' ? answer.size : growth.size;
  }
  return { kind: 'behind', size: old, problem: 'the ledger has grown by more than it cosigns in one visit' };
}

/** The state that ends a visit; `null` if it goes on. */
function stateBy(answer: WitnessAnswer, { old, last }: GrowthProof): WitnessState | null {
  if (answer.kind === 'cosigned') return null;
  if (answer.kind === 'stands-at') return stateAt(answer.size, { old, last });
  if (answer.kind === 'contradicts') {
    return {
      kind: 'contradicts',
      size: old,
      problem: `it has cosigned other records than the first ${old} of this ledger: they were rewritten, or there are two of it`,
    };
  }
  return {
    kind: 'behind',
    size: old,
    problem:
      answer.kind === 'unknown-log'
        ? 'it does not know this ledger or its key: give it the verifier key that `remit serve` prints'
        : `it ${answer.problem}`,
  };
}

function stateAt(size: number, { old, last }: Pick<GrowthProof, 'old' | 'last'>): WitnessState | null {
  if (size === old) {
    return { kind: 'behind', size, problem: `it answers that it stands at ${old}, from where it was asked` };
  }
  if (size <= last) return null;
  return {
    kind: 'contradicts',
    size,
    problem: `it has cosigned ${size} records, and the last checkpoint here has ${last}: the ledger was put back from a copy, or is continued elsewhere`,
  };
}

function growthFrom(folder: string, old: number): GrowthProof | Problem {
  const growth = readLog(folder, (log) => growthProof(log, old));
  if (growth === null) return { problem: 'the ledger has no checkpoint yet' };
  if (isStoreFailure(growth)) return { problem: growth.detail };
  return growth;
}

async function askedWitness({ url, key }: Witness, growth: GrowthProof, signal: AbortSignal): Promise<WitnessAnswer> {
  try {
    const { status, headers, body, fault } = await httpExchange(`${url}/add-checkpoint`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      body: addCheckpointText(growth),
      maxBytes: MAX_ANSWER_BYTES,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    if (fault !== null) return { kind: 'failed', problem: 'answers with too much, or compressed' };
    const contentType = headers['content-type'] ?? '';
    return witnessAnswerFrom({ status, contentType, body: body.toString('utf8') }, { note: growth.note, witness: key });
  } catch (error) {
    return { kind: 'failed', problem: `cannot be asked: ${failureCode(error)}` };
  }
}

function kept({ keep }: VisitParts, note: string): string | null {
  try {
    keep(note);
    return null;
  } catch (error) {
    return `its cosignature could not be kept: ${failureCode(error)}`;
  }
}
