import { createHash } from 'node:crypto';
import { closingBracket, split } from '../../explain/brackets.ts';
import type { Tokens } from '../../explain/brackets.ts';
import { cedarTokens } from '../../../../core/policy/cedar-text.ts';
import type { CedarToken } from '../../../../core/policy/cedar-text.ts';
import { writtenClauses } from '../../../../core/policy/loading/policy-end.ts';
import { conditionIn, outside } from './condition.ts';
import type { Condition } from './condition.ts';
import type { PolicyClause, PolicyPiece } from '../../explain/policy-parts.ts';
import type { CutPolicy } from '../../explain/probe.ts';

/** A policy with a single change. */
export interface Mutant {
  /** `mutant-` and 8 hexadecimal digits of a hash of the change: stable while the changed part of the policy is. */
  readonly id: string;
  /** What was changed, in a clause: `` `context.args.amount > 500` is left out ``. */
  readonly what: string;
  /** The changed range in the policy's text, in UTF-16 code units. */
  readonly start: number;
  readonly end: number;
  /** From the effect on, without annotations; `null` if the whole policy is removed. */
  readonly text: string | null;
  /** The changed part of the scope; `null` if something else changed. */
  readonly scope: 'principal' | 'action' | 'resource' | null;
  /** The expression whose value distinguishes the mutant from the policy; `null` if there is none. */
  readonly telling: string | null;
}

/** A change of a text: the replacement of a range. */
type Change = Omit<Mutant, 'id' | 'text'> & { readonly to: string };

/**
 * The mutants of a policy, one per possible mistake: each condition and alternative removed, each negation and comparison
 * inverted, each bound shifted by one, each list member and part of the scope removed, each clause, and the policy itself. All
 * have different texts.
 */
export function mutantsOf({ policy, parts }: CutPolicy): readonly Mutant[] {
  const { text } = policy;
  const whole: Mutant = {
    id: idOf(text.slice(parts.effect.offset), ''),
    what: 'the policy is left out',
    start: 0,
    end: text.length,
    text: null,
    scope: null,
    telling: null,
  };
  const changes = [
    ...(['principal', 'action', 'resource'] as const).flatMap((name) => scopeChanges(name, parts[name])),
    ...writtenClauses(policy, parts.clauses).flatMap((clause) => clauseChanges(text, clause)),
  ];
  const made = changes.map((change) => mutantFrom(change, { text, from: parts.effect.offset }));
  return [whole, ...new Map(made.map((mutant) => [mutant.text, mutant])).values()];
}

function mutantFrom(
  { to, ...change }: Change,
  { text, from }: { readonly text: string; readonly from: number },
): Mutant {
  const { start, end, what, telling } = change;
  const id = idOf(text.slice(start, end), to, what, telling ?? '');
  return { ...change, id, text: text.slice(from, start) + to + text.slice(end) };
}

/** Independent of white space and comments. */
function idOf(...texts: readonly string[]): string {
  const written = texts.map((text) => cedarTokens(text).map((token) => token.text));
  return `mutant-${createHash('sha256').update(JSON.stringify(written)).digest('hex').slice(0, 8)}`;
}

function scopeChanges(name: 'principal' | 'action' | 'resource', piece: PolicyPiece): readonly Change[] {
  const tokens = cedarTokens(piece.text).map(({ text, start, end }) => ({
    text,
    start: start + piece.offset,
    end: end + piece.offset,
  }));
  const first = tokens[0];
  if (first === undefined || tokens.length === 1) return [];
  const any = { ...range(tokens), to: name, what: `any ${name} will do: ${quoted(tokens)} is left out` };
  const open = tokens.findIndex((token) => token.text === '[');
  const listed = open < 0 ? [] : split(tokens.slice(open + 1, closingBracket(tokens, open)), ',');
  const within = tokens.findIndex((token) => token.text === 'in');
  const group =
    tokens[1]?.text === 'is' && within > 0
      ? [{ ...range(tokens.slice(within)), to: '', what: `${quoted(tokens.slice(within))} is left out` }]
      : [];
  return [any, ...group, ...withoutItems(listed)].map((change) => changeWith(change, piece.text, name));
}

function clauseChanges(text: string, { kind, offset, text: clause, body }: PolicyClause): readonly Change[] {
  const condition = conditionIn(body);
  const telling = tokensText(body, text);
  const other = kind === 'when' ? 'unless' : 'when';
  // If it has several parts, removing them one by one covers removing the clause.
  const isSeen = condition.kind === (kind === 'when' ? 'all' : 'any');
  const isLeftOut = { start: offset, end: offset + clause.length, to: '', what: `the \`${kind}\` is left out` };
  const isTurned = { start: offset, end: offset + kind.length, to: other, what: `\`${kind}\` is \`${other}\`` };
  const own = [...(isSeen ? [] : [isLeftOut]), isTurned].map((change) => changeWith(change, telling));
  return [...own, ...changesIn(condition, text)];
}

function changesIn(condition: Condition, text: string): readonly Change[] {
  const { tokens } = condition;
  switch (condition.kind) {
    case 'all':
    case 'any': {
      const to = condition.kind === 'all' ? 'true' : 'false';
      return condition.parts.flatMap((part) => [
        { ...changeOf(part.tokens, text), to, what: `${quoted(part.tokens)} is left out` },
        ...changesIn(part, text),
      ]);
    }
    case 'not': {
      const [sign] = tokens;
      const what = `the \`!\` before ${quoted(condition.of.tokens)} is left out`;
      const change = { ...changeOf(condition.of.tokens, text), ...range(sign === undefined ? [] : [sign]) };
      return [{ ...change, to: '', what }, ...changesIn(condition.of, text)];
    }
    case 'conditional': {
      const test = condition.parts[0]?.tokens ?? [];
      const always = ['true', 'false'].map((to) =>
        changeWith({ ...range(test), to, what: `\`if\` ${quoted(test)} is always ${to}` }, tokensText(test, text)),
      );
      return [...always, ...condition.parts.flatMap((part) => changesIn(part, text))];
    }
    case 'plain':
      return [
        ...turned(tokens, text),
        ...condition.within.flatMap(({ bracket, items }) => [
          ...(bracket === '[' ? withoutItems(items.map((item) => item.tokens)) : []).map((change) =>
            changeWith(change, tokensText(tokens, text)),
          ),
          ...items.flatMap((item) => changesIn(item, text)),
        ]),
      ];
    default:
      return condition satisfies never;
  }
}

const changeWith = (
  change: Pick<Change, 'start' | 'end' | 'to' | 'what'>,
  telling: string,
  scope: Change['scope'] = null,
): Change => ({ ...change, telling, scope });

const changeOf = (tokens: Tokens, text: string): Omit<Change, 'to' | 'what'> => ({
  ...range(tokens),
  scope: null,
  telling: tokensText(tokens, text),
});

/** Replacements of operators and methods, and whether equal operands tell them apart. */
const TURNED: ReadonlyMap<string, { readonly to: string; readonly isBound: boolean }> = new Map(
  [
    ['<', '<=', true],
    ['<=', '<', true],
    ['>', '>=', true],
    ['>=', '>', true],
    ['lessThan', 'lessThanOrEqual', true],
    ['lessThanOrEqual', 'lessThan', true],
    ['greaterThan', 'greaterThanOrEqual', true],
    ['greaterThanOrEqual', 'greaterThan', true],
    ['==', '!=', false],
    ['!=', '==', false],
    ['containsAll', 'containsAny', false],
    ['containsAny', 'containsAll', false],
    ['+', '-', false],
  ].map(([from, to, isBound]) => [String(from), { to: String(to), isBound: isBound === true }]),
);

function turned(tokens: Tokens, text: string): readonly Change[] {
  return outside(tokens).flatMap((sign, index) => {
    const turn = TURNED.get(sign.text);
    const at = tokens.indexOf(sign);
    if (turn === undefined || index === 0) return [];
    const isMethod = /^\w/.test(sign.text);
    if (isMethod && (tokens[at - 1]?.text !== '.' || tokens[at + 1]?.text !== '(')) return [];
    const sides = isMethod
      ? [tokens.slice(0, at - 1), tokens.slice(at + 2, closingBracket(tokens, at + 1))]
      : [tokens.slice(0, at), tokens.slice(at + 1)];
    const telling = turn.isBound ? sides.map((side) => tokensText(side, text)).join(' == ') : tokensText(tokens, text);
    const what = `\`${sign.text}\` is \`${turn.to}\` in ${quoted(tokens)}`;
    return [{ ...range([sign]), to: turn.to, what, scope: null, telling }];
  });
}

/** A list without each of its members in turn, if it has several. */
function withoutItems(items: readonly Tokens[]): readonly Pick<Change, 'start' | 'end' | 'to' | 'what'>[] {
  const listed = items.filter((item) => item.length > 0);
  if (listed.length < 2) return [];
  return listed.map((item, index) => {
    const what = `${quoted(item)} is left out of the list`;
    const next = listed[index + 1];
    const before = listed[index - 1];
    // Including the following comma, or for the last item the preceding comma.
    if (next !== undefined) return { start: startOf(item), end: startOf(next), to: '', what };
    return { start: endOf(before ?? item), end: endOf(item), to: '', what };
  });
}

const startOf = (tokens: Tokens): number => tokens[0]?.start ?? 0;
const endOf = (tokens: Tokens): number => tokens.at(-1)?.end ?? 0;
const range = (tokens: Tokens): { readonly start: number; readonly end: number } => ({
  start: startOf(tokens),
  end: endOf(tokens),
});
const tokensText = (tokens: Tokens, text: string): string => text.slice(startOf(tokens), endOf(tokens));

const MAX_QUOTED = 120;

/** Tokens in one line in Cedar's format, truncated. */
function quoted(tokens: Tokens): string {
  const written = tokens.reduce((line, token, index) => line + gap(tokens[index - 1], token) + token.text, '');
  return `\`${written.length > MAX_QUOTED ? `${written.slice(0, MAX_QUOTED)}…` : written}\``;
}

const gap = (before: CedarToken | undefined, { start }: CedarToken): string =>
  before === undefined || before.end === start ? '' : ' ';
