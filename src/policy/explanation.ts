import type { Place } from '../action/finding.ts';
import { isDeny } from '../decision/decision.ts';
import type { Decision } from '../decision/decision.ts';
import { pieceExplainer, pieceText } from './explained-piece.ts';
import type { ExplainedPiece } from './explained-piece.ts';
import type { PolicySet } from './load.ts';
import type { Observation, Probe } from './probe.ts';
import type { Question } from './question.ts';

/** A policy about the action, by what names it. */
export interface ExplainedPolicy extends Place {
  readonly id: string;
  readonly effect: 'permit' | 'forbid';
  readonly file: string;
  /** Whether it is only on trial, and decides nothing. */
  readonly shadow: boolean;
  /** Of a policy that matches all its pieces; of a near miss those that kept it from matching. */
  readonly pieces: readonly ExplainedPiece[];
}

/** Why a question was answered as it was. */
export interface Explanation {
  /** Policies that match, deciding or not. */
  readonly matched: readonly ExplainedPolicy[];
  /** Those that would change the decision first, and of them those that lack least; at most `MAX_NEAR_MISSES`. */
  readonly nearMisses: readonly ExplainedPolicy[];
  /** What would have to differ for another decision, a sentence each. */
  readonly needed: readonly string[];
}

/** Policies that did not match are listed up to this many. */
export const MAX_NEAR_MISSES = 20;

/** Explains an answer of the policies, by the engine's own word on each piece of each policy. */
export function explanationOf(
  decision: Decision,
  question: Question,
  by: { readonly probe: Probe; readonly policies: Pick<PolicySet, 'facts'> },
): Explanation {
  const about = by.probe.observe(question);
  const piecesOf = pieceExplainer(question, by.policies);
  const all = (one: Observation): ExplainedPolicy => explained(one, piecesOf(one));
  const lacking = (one: Observation): ExplainedPolicy => explained(one, missing(piecesOf(one)));
  const matched = about.filter(({ matches }) => matches).map(all);
  const wanted = inForce(matched, 'permit').length > 0 ? 'forbid' : 'permit';
  const missed = about
    .filter(({ matches }) => !matches)
    .map(lacking)
    .toSorted((a, b) => order(a, b, wanted));
  const nearMisses = missed.slice(0, MAX_NEAR_MISSES);
  return { matched, nearMisses, needed: needed(decision, question, { matched, missed: nearMisses }) };
}

function explained({ policy }: Observation, pieces: readonly ExplainedPiece[]): ExplainedPolicy {
  const { id, effect, file, line, column, shadow } = policy;
  return { id, effect, file, line, column, shadow, pieces };
}

/** What could not be evaluated matters only where nothing failed: `has` is asked so that the rest need not be. */
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

function needed(
  decision: Decision,
  question: Question,
  { matched, missed }: { readonly matched: readonly ExplainedPolicy[]; readonly missed: readonly ExplainedPolicy[] },
): readonly string[] {
  if (!isDeny(decision)) {
    const nearest = inForce(missed, 'forbid').filter(({ pieces }) => pieces.length === 1);
    return nearest.map(({ id, pieces }) => `\`${id}\` would forbid it with ${listed(pieces, '')}`);
  }
  const objecting = inForce(matched, 'forbid').map(({ id, pieces }) =>
    pieces.length === 0
      ? `\`${id}\` forbids this action whatever the call`
      : `\`${id}\` forbids it as long as all of this holds: ${listed(pieces, '; ')}`,
  );
  if (inForce(matched, 'permit').length > 0) return objecting;
  const permits = inForce(missed, 'permit').map(
    ({ id, pieces }) => `\`${id}\` would permit it with ${listed(pieces, ' and ')}`,
  );
  const none = `no policy permits \`${question.action}\` to anybody: it needs a \`permit\``;
  return [...objecting, ...(permits.length > 0 ? permits : [none])];
}
