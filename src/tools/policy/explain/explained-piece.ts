import type { TextPlace } from '../../../core/runtime/text-place.ts';
import { callFrom } from '../../../core/policy/engine.ts';
import type { EntityUid } from '../../../core/policy/entities.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { placeInPolicy } from './probe.ts';
import type { Observation, ObservedPiece, PieceResult } from './probe.ts';
import type { Question } from '../../../core/policy/question.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { valuesRead } from './values-read.ts';
import type { ReadValue } from './values-read.ts';

/** A piece of a policy with its result. */
export interface ExplainedPiece extends TextPlace {
  readonly part: 'principal' | 'resource' | 'when' | 'unless';
  readonly text: string;
  readonly standing: PieceResult;
  /** The context values it names, and the ancestors of the principal or resource it names. */
  readonly values: readonly ReadValue[];
}

const ENTITIES = ['principal', 'resource'] as const;

/** Returns the pieces of a policy that depend on the call. An action, and an unconstrained principal or resource, do not. */
export function pieceExplainer(
  question: Question,
  { facts }: Pick<PolicySet, 'facts'>,
): (observation: Observation) => readonly ExplainedPiece[] {
  const call = callFrom(question, facts.actionGroups.get(question.action) ?? [], facts.entities);
  // Safe: made by `callFrom`; the library's type is wider.
  const entities = call.entities as readonly { readonly uid: EntityUid; readonly parents: readonly EntityUid[] }[];
  const parents = new Map(entities.map(({ uid, parents: in_ }) => [uidText(uid), in_.map(uidText)]));
  const membership = (path: (typeof ENTITIES)[number]): ReadValue => {
    const [self = '', ...groups] = ancestorsOf(uidText(call[path] as EntityUid), parents);
    return { path, value: groups.length === 0 ? self : `in ${groups.join(', ')}` };
  };
  const explained = (part: ExplainedPiece['part'], piece: ObservedPiece, at: TextPlace): ExplainedPiece => {
    const { text, standing } = piece;
    // oxlint-disable-next-line remit/linear-expression -- the names are ours, without repetition
    const named = ENTITIES.filter((path) => new RegExp(String.raw`\b${path}\b`).test(text));
    const values = [...named.map(membership), ...valuesRead(text, question.context)];
    return { part, text, standing, values, line: at.line, column: at.column };
  };
  return (observation) => {
    const { policy, clauses } = observation;
    const scope = ENTITIES.filter((part) => observation[part].text !== part).map(
      (part) => [part, observation[part]] as const,
    );
    const terms = clauses.flatMap(({ kind, observed }) => observed.map((term) => [kind, term] as const));
    return [...scope, ...terms].map(([part, piece]) => explained(part, piece, placeInPolicy(policy, piece.offset)));
  };
}

const uidText = ({ type, id }: EntityUid): string => `${type.replace(`${NAMESPACE}::`, '')}::"${id}"`;

/** An entity and its ancestors, itself first, without duplicates. */
function ancestorsOf(uid: string, parents: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const all = new Set([uid]);
  for (const one of all) for (const parent of parents.get(one) ?? []) all.add(parent);
  return [...all];
}

/** A piece with its values: `context.args.amount > 500` (context.args.amount is 900). */
export function pieceText({ part, text, standing, values }: ExplainedPiece): string {
  const oneLine = text.replaceAll(/\s+/g, ' ');
  const known = values.map(({ path, value }) => `${path} is ${value ?? 'absent'}`);
  return [
    part === 'unless' ? `not \`${oneLine}\`` : `\`${oneLine}\``,
    standing === 'errs' ? ', which could not be evaluated' : '',
    known.length === 0 ? '' : ` (${known.join('; ')})`,
  ].join('');
}
