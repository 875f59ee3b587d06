import type { Cedar } from '../../policy/cedar.ts';
import type { EngineAnswer } from '../../policy/engine.ts';
import type { ExplainedPiece } from './explained-piece.ts';
import type { PolicySet } from '../../policy/loading/load.ts';
import type { Question } from '../../policy/question.ts';
import { variationsFor } from './solve.ts';
import type { Goal } from './solve.ts';
import { agentsWithGroups, changesText, unchanged } from './variation.ts';
import type { Variation } from './variation.ts';

/** What came of trying to have a question answered otherwise. */
export type Tried =
  /** This differs, and the engine answers so. */
  | { readonly kind: 'answered'; readonly changes: string }
  /** The likeliest change, and what the engine answers to it. */
  | { readonly kind: 'refuted'; readonly changes: string; readonly answer: EngineAnswer }
  /** No change is known that would make it so. */
  | { readonly kind: 'untried' };

/** What is tried for one policy. */
export interface Attempted {
  /** The pieces that have to hold and do not. */
  readonly lacking: readonly ExplainedPiece[];
  /** Of each policy that must not match every piece. */
  readonly objecting: readonly (readonly ExplainedPiece[])[];
  readonly isWanted: (answer: EngineAnswer) => boolean;
}

/** Tries changes of one question, all of them together by at most `MAX_ASKED` calls of the engine. */
export type Try = (attempted: Attempted) => Tried;

/** More changed questions than this are not asked for one explanation. */
export const MAX_ASKED = 600;
/** A forbid that objects to the first change may be answered by another, so often. */
const MAX_ROUNDS = 3;

/**
 * Gives the means to try changes of a question: each is made so that pieces of policies hold or do not, and is then put to the
 * policies in force.
 *
 * @param piecesOf every piece of a policy by its id; none for one that is not known
 */
export function tryChanges(
  question: Question,
  policies: Pick<PolicySet, 'facts' | 'ask'>,
  by: { readonly cedar: Pick<Cedar, 'policyToJson'>; readonly piecesOf: (id: string) => readonly ExplainedPiece[] },
): Try {
  const agents = agentsWithGroups(policies.facts.entities);
  let left = MAX_ASKED;
  const goalOf = (piece: ExplainedPiece, isMet: boolean): Goal | null => {
    // On a line of its own, so that a comment in a piece ends there.
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
