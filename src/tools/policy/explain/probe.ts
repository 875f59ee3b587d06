import { placesIn } from '../../../core/runtime/text-place.ts';
import type { TextPlace } from '../../../core/runtime/text-place.ts';
import { freshCedar } from '../../../core/policy/cedar.ts';
import type { Cedar } from '../../../core/policy/cedar.ts';
import { callFrom, Engine } from '../../../core/policy/engine.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { writtenPolicy } from '../../../core/policy/loading/policy-file.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { policyPartsOf } from './policy-parts.ts';
import type { PolicyClause, PolicyParts, PolicyPiece } from './policy-parts.ts';
import { getOrAdd } from '../../../core/policy/answers/slice.ts';
import type { Question } from '../../../core/policy/question.ts';

/** The result of a piece for one question: true, false, or an error. */
export type PieceResult = 'holds' | 'fails' | 'errs';

/** A piece with its result. */
export interface ObservedPiece extends PolicyPiece {
  readonly standing: PieceResult;
}

/** A clause with its result: it holds if the policy may still match, so an `unless` holds if its body is false. */
export interface ObservedClause extends PolicyClause {
  readonly standing: PieceResult;
  /** Whether the engine evaluates it: the scope matches and all earlier clauses hold. */
  readonly isReached: boolean;
  readonly observed: readonly ObservedPiece[];
}

/** A policy's results for one question, piece by piece. */
export interface Observation {
  readonly policy: PolicyEntry;
  readonly principal: ObservedPiece;
  readonly resource: ObservedPiece;
  readonly clauses: readonly ObservedClause[];
  /** Whether the policy matches: all pieces hold. */
  readonly matches: boolean;
}

/** Observes policies with the real engine, each piece as a policy of its own. */
export interface Probe {
  /** The observed policies, in the order of the set. */
  readonly policies: readonly CutPolicy[];
  /** Observes the policies about the question's action. */
  readonly observe: (question: Question) => readonly Observation[];
  /**
   * Observes the policies whose whole scope matches the question; the engine evaluates no clauses of others. The scope counts
   * as a single piece: principal and resource have the same result.
   */
  readonly observeReached: (question: Question) => readonly Observation[];
}

const ACTIONS = 'actions';
const SLICES = 'slices';
const ANY = { principal: 'principal', action: 'action', resource: 'resource' };

/** A policy with its pieces. */
export interface CutPolicy {
  readonly policy: PolicyEntry;
  readonly parts: PolicyParts;
}

/** File position of an offset in a policy's text. */
export function placeInPolicy(policy: PolicyEntry, offset: number): TextPlace {
  const { line, column } = policy;
  const written = writtenPolicy(policy);
  const within = placesIn(written.text)(written.offsetOf(offset));
  return { line: line + within.line - 1, column: within.line === 1 ? column + within.column - 1 : within.column };
}

/**
 * A probe of a policy set, with its own engine. The first question about an action parses the pieces of its policies, about
 * four per policy, and each question evaluates all of them: for tests and explanations, not for the path of a check.
 *
 * Pieces of a proved policy parse and nest no deeper than it; a piece that the engine refuses is a bug and throws.
 */
export function probeOf({ policies, facts }: Pick<PolicySet, 'policies' | 'facts'>): Probe {
  const cedar = freshCedar();
  const all = policies.flatMap((policy): readonly CutPolicy[] => {
    const parts = policyPartsOf(policy.text);
    return parts === null ? [] : [{ policy, parts }];
  });
  const ask = (question: Question, pieces: ParsedPieces): ((id: string) => PieceResult) => {
    const groups = facts.actionGroups.get(question.action) ?? [];
    return standingsIn(cedar, callFrom(question, groups, facts.entities), pieces);
  };
  let actions: ParsedPieces | null = null;
  const aboutActions = (): ParsedPieces =>
    (actions ??= parse(
      cedar,
      ACTIONS,
      all.map(({ parts }, index): Piece => [`${index}`, `permit (${scope({ action: parts.action.text })});`]),
    ));
  const byAction = new Map<string, Parsed>();
  const about = (question: Question): Parsed => {
    const standingOf = ask(question, aboutActions());
    const members = all.filter((_policy, index) => standingOf(`${index}`) === 'holds');
    const pieces = members.flatMap(({ parts }, index) => piecesOf(parts, index));
    return { members, pieces: parse(cedar, `about ${question.action}`, pieces) };
  };
  const observe = (question: Question): readonly Observation[] => {
    const { members, pieces } = getOrAdd(byAction, question.action, () => about(question));
    const standingOf = ask(question, pieces);
    return members.map((one, index) => observationOf(one, index, standingOf));
  };
  // Only their scopes are evaluated.
  const index = new Engine(
    { generation: SLICES, policies: all.map(({ policy }) => policy), ...facts },
    { fresh: () => freshCedar(), cache: null },
  );
  const bySlice = new Map<string, Parsed>();
  const observeReached = (question: Question): readonly Observation[] => {
    const indices = index.members(question);
    if (indices.length === 0) return [];
    const { members, pieces } = getOrAdd(bySlice, indices.join(','), () => {
      const found = indices.flatMap((at) => all[at] ?? []);
      const cut = found.flatMap(({ parts }, at) => scopePieces(parts, at));
      return { members: found, pieces: parse(cedar, `${SLICES} ${bySlice.size}`, cut) };
    });
    const standingOf = ask(question, pieces);
    return members.map((one, at) => observationOf(one, at, (id) => standingOf(id.replace(SCOPE_PART, 'scope'))));
  };
  return { policies: all, observe, observeReached };
}

type ProbeEngine = Pick<Cedar, 'preparsePolicySet' | 'statefulIsAuthorized'>;

/** Pieces that the engine holds parsed. */
interface ParsedPieces {
  readonly set: string;
  /** The engine's name of a piece, by piece id; pieces with equal text share a name. */
  readonly names: ReadonlyMap<string, string>;
}

/** Policies with their pieces. */
interface Parsed {
  readonly members: readonly CutPolicy[];
  readonly pieces: ParsedPieces;
}

/** Parses all pieces as one text, whose policies Cedar names by index: four times faster than separately. */
function parse(cedar: ProbeEngine, set: string, pieces: readonly Piece[]): ParsedPieces {
  const byText = new Map<string, string>();
  const names = new Map(pieces.map(([id, text]) => [id, getOrAdd(byText, text, () => `policy${byText.size}`)]));
  const parsed = cedar.preparsePolicySet(set, { staticPolicies: [...byText.keys()].join('\n') });
  if (parsed.type === 'failure')
    throw new Error(`a piece of a proved policy was refused: ${parsed.errors[0]?.message}`);
  return { set, names };
}

function standingsIn(
  cedar: ProbeEngine,
  call: ReturnType<typeof callFrom>,
  { set, names }: ParsedPieces,
): (id: string) => PieceResult {
  const answer = cedar.statefulIsAuthorized({ ...call, preparsedPolicySetId: set });
  if (answer.type === 'failure') throw new Error(`the engine refused a question: ${answer.errors[0]?.message}`);
  // All pieces are permits, so the reasons are exactly the satisfied pieces.
  const held = new Set(answer.response.diagnostics.reason);
  const erred = new Set(answer.response.diagnostics.errors.map(({ policyId }) => policyId));
  return (id) => {
    const name = names.get(id) ?? '';
    return held.has(name) ? 'holds' : erred.has(name) ? 'errs' : 'fails';
  };
}

const scope = (of: Partial<typeof ANY>): string => Object.values({ ...ANY, ...of }).join(', ');

/** The observed pieces of a policy: principal, resource and each term. */
const piecesOf = (parts: PolicyParts, index: number): readonly Piece[] => [
  [`${index} principal`, `permit (${scope({ principal: parts.principal.text })});`],
  [`${index} resource`, `permit (${scope({ resource: parts.resource.text })});`],
  ...termPieces(parts, index),
];

type Piece = readonly [id: string, policy: string];

const SCOPE_PART = /principal$|resource$/;

/** The same pieces, but with the scope as a single piece. */
const scopePieces = (parts: PolicyParts, index: number): readonly Piece[] => {
  const texts = [parts.principal, parts.action, parts.resource].map(({ text }) => text);
  return [[`${index} scope`, `permit (${texts.join(', ')});`], ...termPieces(parts, index)];
};

/**
 * Includes the action, by which the context's types were proved. The term is on its own line, so that a comment in it ends
 * there.
 */
const termPieces = ({ action, clauses }: PolicyParts, index: number): readonly Piece[] =>
  clauses.flatMap(({ kind, terms }, at) =>
    terms.map(({ text }, number): Piece => [
      `${index} ${at} ${number}`,
      `permit (${scope({ action: action.text })}) ${kind} {${text}\n};`,
    ]),
  );

function observationOf(
  { policy, parts }: CutPolicy,
  index: number,
  standingOf: (id: string) => PieceResult,
): Observation {
  const part = (name: 'principal' | 'resource'): ObservedPiece => ({
    ...parts[name],
    standing: standingOf(`${index} ${name}`),
  });
  const own = { principal: part('principal'), resource: part('resource') };
  let isReached = Object.values(own).every(({ standing }) => standing === 'holds');
  const clauses = parts.clauses.map((clause, at): ObservedClause => {
    const observed = clause.terms.map((term, number) => ({
      ...term,
      standing: standingOf(`${index} ${at} ${number}`),
    }));
    // The engine stops at the first term that does not hold, whose result is that of the clause.
    const standing = observed.find((term) => term.standing !== 'holds')?.standing ?? 'holds';
    const found = { ...clause, observed, standing, isReached };
    isReached &&= standing === 'holds';
    return found;
  });
  return { policy, ...own, clauses, matches: isReached };
}
