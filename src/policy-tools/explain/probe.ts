import { placesIn } from '../../action/finding.ts';
import type { TextPlace } from '../../action/finding.ts';
import { freshCedar } from '../../policy/cedar.ts';
import type { Cedar } from '../../policy/cedar.ts';
import { callFrom, Engine } from '../../policy/engine.ts';
import type { PolicySet } from '../../policy/loading/load.ts';
import { writtenPolicy } from '../../policy/loading/policy-file.ts';
import type { PolicyEntry } from '../../policy/loading/policy-file.ts';
import { policyPartsOf } from './policy-parts.ts';
import type { PolicyClause, PolicyParts, PolicyPiece } from './policy-parts.ts';
import { getOrAdd } from '../../policy/answers/slice.ts';
import type { Question } from '../../policy/question.ts';

/** How a piece of a policy stands to one question: what it asks is so, is not so, or could not be evaluated. */
export type Standing = 'holds' | 'fails' | 'errs';

/** A piece with its standing. */
export interface ObservedPiece extends PolicyPiece {
  readonly standing: Standing;
}

/** A clause with its standing: it holds where the policy may match as far as it goes, so an `unless` holds where it is false. */
export interface ObservedClause extends PolicyClause {
  readonly standing: Standing;
  /** Whether the engine got as far as this: the scope matches and every clause before it holds. */
  readonly isReached: boolean;
  readonly observed: readonly ObservedPiece[];
}

/** How one policy stands to one question, piece by piece. */
export interface Observation {
  readonly policy: PolicyEntry;
  readonly principal: ObservedPiece;
  readonly resource: ObservedPiece;
  readonly clauses: readonly ObservedClause[];
  /** Whether the policy matches: all of it holds. */
  readonly matches: boolean;
}

/** Observes policies by the real engine, each piece of each as a policy of its own. */
export interface Probe {
  /** The policies that are observed, in the order of the set. */
  readonly policies: readonly CutPolicy[];
  /** Those of them that are about the action of the question. */
  readonly observe: (question: Question) => readonly Observation[];
  /**
   * Those of them whose whole scope the question meets, which are all that the engine gets further with. The scope is one piece: its
   * principal and its resource have the same standing.
   */
  readonly observeReached: (question: Question) => readonly Observation[];
}

const ACTIONS = 'actions';
const SLICES = 'slices';
const ANY = { principal: 'principal', action: 'action', resource: 'resource' };

/** A policy with the pieces it was cut into. */
export interface CutPolicy {
  readonly policy: PolicyEntry;
  readonly parts: PolicyParts;
}

/** Line and column in its file of an offset in the text of a policy. */
export function placeInPolicy(policy: PolicyEntry, offset: number): TextPlace {
  const { line, column } = policy;
  const written = writtenPolicy(policy);
  const within = placesIn(written.text)(written.offsetOf(offset));
  return { line: line + within.line - 1, column: within.line === 1 ? column + within.column - 1 : within.column };
}

/**
 * A probe of a policy set, in an engine of its own. The first question about an action parses the pieces of the policies about
 * it, and each question is one call of the engine with all of these, some four for each policy; so this is for tests and
 * explanations and not for the path of a check.
 *
 * What is cut out of a proved policy parses and nests no deeper; a piece the engine refuses is a bug and throws.
 */
export function probeOf(
  { policies, facts }: Pick<PolicySet, 'policies' | 'facts'>,
  cedar: Asked = freshCedar(),
): Probe {
  const all = policies.flatMap((policy): readonly CutPolicy[] => {
    const parts = policyPartsOf(policy.text);
    return parts === null ? [] : [{ policy, parts }];
  });
  const ask = (question: Question, pieces: ParsedPieces): ((id: string) => Standing) => {
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
  // Only their scopes are asked for.
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

type Asked = Pick<Cedar, 'preparsePolicySet' | 'statefulIsAuthorized'>;

/** Pieces that the engine holds under a name. */
interface ParsedPieces {
  readonly set: string;
  /** The name that the engine has for a piece, by its id; pieces of one text have one. */
  readonly names: ReadonlyMap<string, string>;
}

/** Policies with their pieces. */
interface Parsed {
  readonly members: readonly CutPolicy[];
  readonly pieces: ParsedPieces;
}

/** As one text, whose policies Cedar names by their index: one by one they take it four times the time. */
function parse(cedar: Asked, set: string, pieces: readonly Piece[]): ParsedPieces {
  const byText = new Map<string, string>();
  const names = new Map(pieces.map(([id, text]) => [id, getOrAdd(byText, text, () => `policy${byText.size}`)]));
  const parsed = cedar.preparsePolicySet(set, { staticPolicies: [...byText.keys()].join('\n') });
  if (parsed.type === 'failure')
    throw new Error(`a piece of a proved policy was refused: ${parsed.errors[0]?.message}`);
  return { set, names };
}

function standingsIn(
  cedar: Asked,
  call: ReturnType<typeof callFrom>,
  { set, names }: ParsedPieces,
): (id: string) => Standing {
  const answer = cedar.statefulIsAuthorized({ ...call, preparsedPolicySetId: set });
  if (answer.type === 'failure') throw new Error(`the engine refused a question: ${answer.errors[0]?.message}`);
  // All of them are permits, so the reasons are exactly those that are satisfied.
  const held = new Set(answer.response.diagnostics.reason);
  const erred = new Set(answer.response.diagnostics.errors.map(({ policyId }) => policyId));
  return (id) => {
    const name = names.get(id) ?? '';
    return held.has(name) ? 'holds' : erred.has(name) ? 'errs' : 'fails';
  };
}

const scope = (of: Partial<typeof ANY>): string => Object.values({ ...ANY, ...of }).join(', ');

/** The policies that a policy is observed by, with their ids: one for its principal, its resource and each term. */
const piecesOf = (parts: PolicyParts, index: number): readonly Piece[] => [
  [`${index} principal`, `permit (${scope({ principal: parts.principal.text })});`],
  [`${index} resource`, `permit (${scope({ resource: parts.resource.text })});`],
  ...termPieces(parts, index),
];

type Piece = readonly [id: string, policy: string];

const SCOPE_PART = /principal$|resource$/;

/** The same with the scope as one piece. */
const scopePieces = (parts: PolicyParts, index: number): readonly Piece[] => {
  const texts = [parts.principal, parts.action, parts.resource].map(({ text }) => text);
  return [[`${index} scope`, `permit (${texts.join(', ')});`], ...termPieces(parts, index)];
};

/** The action goes along, since by it the types of the context were proved; on a line of its own, so that a comment in a term ends there. */
const termPieces = ({ action, clauses }: PolicyParts, index: number): readonly Piece[] =>
  clauses.flatMap(({ kind, terms }, at) =>
    terms.map(({ text }, number): Piece => [
      `${index} ${at} ${number}`,
      `permit (${scope({ action: action.text })}) ${kind} {${text}\n};`,
    ]),
  );

function observationOf({ policy, parts }: CutPolicy, index: number, standingOf: (id: string) => Standing): Observation {
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
    // The engine stops at the first term that does not hold, and what it is, the clause is.
    const standing = observed.find((term) => term.standing !== 'holds')?.standing ?? 'holds';
    const found = { ...clause, observed, standing, isReached };
    isReached &&= standing === 'holds';
    return found;
  });
  return { policy, ...own, clauses, matches: isReached };
}
