import type { Cedar } from '../../../core/policy/cedar.ts';
import type { EngineAnswer } from '../../../core/policy/engine.ts';
import type { ExplainedPiece } from './explained-piece.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { Question } from '../../../core/policy/question.ts';
import { variationsFor } from './solve.ts';
import type { Goal } from './solve.ts';
import { agentsWithGroups, changesText, unchanged } from './variation.ts';
import type { Variation } from './variation.ts';

/** The result of trying to change an answer. */
export type Tried =
  /** With these changes the engine gives the wanted answer. */
  | { readonly kind: 'answered'; readonly changes: string }
  /** The likeliest change, and the engine's answer to it. */
  | { readonly kind: 'refuted'; readonly changes: string; readonly answer: EngineAnswer }
  /** No change is known. */
  | { readonly kind: 'untried' };

/** What to try for one policy. */
export interface Attempted {
  /** The pieces that must hold and do not. */
  readonly lacking: readonly ExplainedPiece[];
  /** All pieces of each policy that must not match. */
  readonly objecting: readonly (readonly ExplainedPiece[])[];
  readonly isWanted: (answer: EngineAnswer) => boolean;
}

/** Tries changes of one question; all calls together ask the engine at most `MAX_ASKED` times. */
export type Try = (attempted: Attempted) => Tried;

/** Most changed questions per explanation. */
export const MAX_ASKED = 600;
/** Rounds: a forbid that matches the changed question can be countered by another change. */
const MAX_ROUNDS = 3;

/**
 * Returns a function that tries changes of a question: it makes pieces of policies hold or fail, and puts the changed question
 * to the policies in force.
 *
 * @param piecesOf all pieces of a policy by id; empty for an unknown policy
 */
export function tryChanges(
  question: Question,
  policies: Pick<PolicySet, 'facts' | 'ask'>,
  by: { readonly cedar: Pick<Cedar, 'policyToJson'>; readonly piecesOf: (id: string) => readonly ExplainedPiece[] },
): Try {
  const agents = agentsWithGroups(policies.facts.entities);
  let left = MAX_ASKED;
  const goalOf = (piece: ExplainedPiece, isMet: boolean): Goal | null => {
    // On its own line, so that a comment in the piece ends there.
    const read = by.cedar.policyToJson(`permit (principal, action, resource) when {${piece.text}\n};`);
    if (read.type === 'failure') return null;
    return { expression: read.json.conditions[0]?.body, isTrue: (piece.part !== 'unless') === isMet };
  };
  const falsified = (pieces: readonly ExplainedPiece[], from: Variation): readonly Variation[] =>
    pieces.flatMap((piece) => {
      const goal = goalOf(piece, false);
      return goal === null ? [] : variationsFor([goal], from, agents);
    });
  const candidates = ({ lacking, objecting }: Attempted): readonly Variation[] => {
    const goals = lacking.map((piece) => goalOf(piece, true));
    if (!goals.every((goal) => goal !== null)) return [];
    return objecting.reduce<readonly Variation[]>(
      (found, pieces) => found.flatMap((one) => falsified(pieces, one)),
      variationsFor(goals, unchanged(question), agents),
    );
  };
  return (attempted) => {
    const objecting = new Map<string, readonly ExplainedPiece[]>();
    let refuted: Extract<Tried, { readonly kind: 'refuted' }> | null = null;
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const before = objecting.size;
      const all = { ...attempted, objecting: [...attempted.objecting, ...objecting.values()] };
      for (const candidate of candidates(all)) {
        if (candidate.changes.size === 0) continue;
        left -= 1;
        if (left < 0) return refuted ?? { kind: 'untried' };
        const answer = policies.ask(candidate.question);
        const changes = changesText(candidate);
        if (attempted.isWanted(answer)) return { kind: 'answered', changes };
        refuted ??= { kind: 'refuted', changes, answer };
        if (answer.kind === 'forbidden') for (const id of answer.policyIds) objecting.set(id, by.piecesOf(id));
      }
      if (objecting.size === before) break;
    }
    return refuted ?? { kind: 'untried' };
  };
}
