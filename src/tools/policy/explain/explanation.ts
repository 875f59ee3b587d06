import type { TextPlace } from '../../../core/runtime/text-place.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import type { Decision } from '../../../core/decision/decision.ts';
import { freshCedar } from '../../../core/policy/cedar.ts';
import type { EngineAnswer } from '../../../core/policy/engine.ts';
import { pieceExplainer, pieceText } from './explained-piece.ts';
import type { ExplainedPiece } from './explained-piece.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { Observation, Probe } from './probe.ts';
import type { Question } from '../../../core/policy/question.ts';
import { tryChanges } from './tried.ts';
import type { Try, Tried } from './tried.ts';

/** A policy about the action, by its name. */
export interface ExplainedPolicy extends TextPlace {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly file: string;
  /** Whether it is on trial only and decides nothing. */
  readonly shadow: boolean;
  /** For a matching policy all pieces; for a near miss those that prevented a match. */
  readonly pieces: readonly ExplainedPiece[];
}

/** Why a question was answered as it was. */
export interface Explanation {
  /** Matching policies, deciding or not. */
  readonly matched: readonly ExplainedPolicy[];
  /** The policies closest to changing the decision, those that lack least first; at most `MAX_NEAR_MISSES`. */
  readonly nearMisses: readonly ExplainedPolicy[];
  /** What would change the decision, one sentence each; every claim was tried. */
  readonly needed: readonly string[];
}

/** Most near misses listed. */
export const MAX_NEAR_MISSES = 20;

/** Explains an answer, from the engine's results for each piece of each policy and for changed questions. */
export function explanationOf(
  decision: Decision,
  question: Question,
  by: { readonly probe: Probe; readonly policies: Pick<PolicySet, 'facts' | 'ask'> },
): Explanation {
  const about = by.probe.observe(question);
  const piecesOf = pieceExplainer(question, by.policies);
  const byId = new Map(about.map((one) => [one.policy.id, one]));
  const piecesById = (id: string): readonly ExplainedPiece[] => {
    const one = byId.get(id);
    return one === undefined ? [] : piecesOf(one);
  };
  const all = (one: Observation): ExplainedPolicy => explained(one, piecesOf(one));
  const lacking = (one: Observation): ExplainedPolicy => explained(one, missing(piecesOf(one)));
  const matched = about.filter(({ matches }) => matches).map(all);
  const wanted = inForce(matched, 'permit').length > 0 ? 'forbid' : 'permit';
  const missed = about
    .filter(({ matches }) => !matches)
    .map(lacking)
    .toSorted((a, b) => order(a, b, wanted));
  const nearMisses = missed.slice(0, MAX_NEAR_MISSES);
  const attempt = tryChanges(question, by.policies, { cedar: freshCedar(), piecesOf: piecesById });
  return {
    matched,
    nearMisses,
    needed: needed(decision, question, { matched, missed: nearMisses, piecesById, attempt }),
  };
}

function explained({ policy }: Observation, pieces: readonly ExplainedPiece[]): ExplainedPolicy {
  const { id, effect, file, line, column, shadow } = policy;
  return { id, effect, file, line, column, shadow, pieces };
}

/** Pieces with errors matter only if no piece fails: a failing `has` explains why the rest cannot be evaluated. */
function missing(pieces: readonly ExplainedPiece[]): readonly ExplainedPiece[] {
  const failing = pieces.filter(({ standing }) => standing === 'fails');
  return failing.length > 0 ? failing : pieces.filter(({ standing }) => standing === 'errs');
}

const order = (a: ExplainedPolicy, b: ExplainedPolicy, wanted: ExplainedPolicy['effect']): number =>
  Number(b.effect === wanted) - Number(a.effect === wanted) ||
  a.pieces.length - b.pieces.length ||
  (a.id < b.id ? -1 : 1);

const inForce = (policies: readonly ExplainedPolicy[], effect: ExplainedPolicy['effect']): readonly ExplainedPolicy[] =>
  policies.filter((policy) => policy.effect === effect && !policy.shadow);

const listed = (pieces: readonly ExplainedPiece[], joint: string): string => pieces.map(pieceText).join(joint);

interface ObservedPolicies {
  readonly matched: readonly ExplainedPolicy[];
  readonly missed: readonly ExplainedPolicy[];
  readonly piecesById: (id: string) => readonly ExplainedPiece[];
  readonly attempt: Try;
}

const isAllowed = (answer: EngineAnswer): boolean => answer.kind === 'permitted';

function needed(decision: Decision, question: Question, found: ObservedPolicies): readonly string[] {
  return isDeny(decision) ? neededToAllow(question, found) : neededToForbid(found);
}

function neededToForbid({ missed, piecesById, attempt }: ObservedPolicies): readonly string[] {
  return inForce(missed, 'forbid')
    .filter(({ pieces }) => pieces.length === 1)
    .map(({ id }) => {
      const lacking = lackingOf(piecesById(id));
      const isWanted = (answer: EngineAnswer): boolean => answer.kind === 'forbidden' && answer.policyIds.includes(id);
      return sentence(id, lacking, {
        verb: 'forbid',
        answer: 'deny',
        tried: attempt({ lacking, objecting: [], isWanted }),
      });
    });
}

function neededToAllow(
  question: Question,
  { matched, missed, piecesById, attempt }: ObservedPolicies,
): readonly string[] {
  const forbids = inForce(matched, 'forbid');
  const objecting = forbids.map(({ pieces }) => pieces);
  const objections = forbids.map(({ id, pieces }) =>
    pieces.length === 0
      ? `\`${id}\` forbids this action whatever the call`
      : `\`${id}\` forbids it as long as all of this holds: ${listed(pieces, '; ')}`,
  );
  if (inForce(matched, 'permit').length > 0) {
    const tried = attempt({ lacking: [], objecting, isWanted: isAllowed });
    return [...objections, ...(tried.kind === 'answered' ? [`tried with ${tried.changes}: allow`] : [])];
  }
  const permits = inForce(missed, 'permit').map(({ id }) => {
    const lacking = lackingOf(piecesById(id));
    const isWanted = (answer: EngineAnswer): boolean => answer.kind === 'permitted' && answer.policyIds.includes(id);
    return sentence(id, lacking, { verb: 'permit', answer: 'allow', tried: attempt({ lacking, objecting, isWanted }) });
  });
  const none = `no policy permits \`${question.action}\` to anybody: it needs a \`permit\``;
  return [...objections, ...(permits.length > 0 ? permits : [none])];
}

/** Pieces with errors must hold too: a policy matches only if all pieces do. */
const lackingOf = (pieces: readonly ExplainedPiece[]): readonly ExplainedPiece[] =>
  pieces.filter(({ standing }) => standing !== 'holds');

/** Claims only what was observed: another decision only if the engine made it. */
function sentence(
  id: string,
  lacking: readonly ExplainedPiece[],
  by: { readonly verb: 'permit' | 'forbid'; readonly answer: string; readonly tried: Tried },
): string {
  const pieces = listed(lacking, ' and ');
  switch (by.tried.kind) {
    case 'answered':
      return `\`${id}\` would ${by.verb} it with ${pieces}; tried with ${by.tried.changes}: ${by.answer}`;
    case 'refuted':
      return `\`${id}\` asks for ${pieces}; tried with ${by.tried.changes}: ${answerText(by.tried.answer)}`;
    case 'untried':
      return `\`${id}\` asks for ${pieces}; not tried: no change of the call is known that achieves it`;
    default:
      return by.tried satisfies never;
  }
}

function answerText(answer: EngineAnswer): string {
  switch (answer.kind) {
    case 'permitted':
      return `allow by ${answer.policyIds.join(', ')}`;
    case 'forbidden':
      return `deny, forbidden by ${answer.policyIds.join(', ')}`;
    case 'not-permitted':
      return 'deny, not permitted';
    case 'error':
      return 'deny, a policy could not be evaluated';
    default:
      return answer satisfies never;
  }
}
