import { isDeny } from '../../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { entityKey } from '../../../core/policy/entities.ts';
import { pathOf, recordExpression } from '../lint/expression.ts';
import { scaledDecimalFrom } from '../../../core/policy/answers/literals.ts';
import type { CedarValue } from '../../../core/policy/question.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { scopeUid } from '../../../core/policy/answers/scope.ts';
import { valueAt, withAgent, withFactValue } from './variation.ts';
import type { Variation } from './variation.ts';

/** The wanted value of an expression. */
export interface Goal {
  /** In Cedar's JSON format. */
  readonly expression: unknown;
  readonly isTrue: boolean;
}

/** The known agents with their ancestors. */
export type KnownAgents = readonly { readonly id: SpiffeId; readonly within: ReadonlySet<string> }[];

/** Most variations per goal. */
const MAX_VARIATIONS = 48;

/**
 * Variations of a question that probably meet all goals: guesses, to be checked with the engine. Only context values and the
 * agent are changed; empty if no such change is known. Handles comparisons with constants, `has`, `like`, sets, membership
 * of known agents, and times of day and days of the week by trying them.
 */
export function variationsFor(goals: readonly Goal[], from: Variation, agents: KnownAgents): readonly Variation[] {
  let found: readonly Variation[] = [from];
  for (const { expression, isTrue } of goals)
    found = found.flatMap((one) => solved(expression, isTrue, { from: one, agents })).slice(0, MAX_VARIATIONS);
  return found;
}

interface Given {
  readonly from: Variation;
  readonly agents: KnownAgents;
}

function solved(expression: unknown, isTrue: boolean, given: Given): readonly Variation[] {
  const [[operator, operand] = ['', undefined]] = Object.entries(recordExpression(expression));
  const { left, right, arg, if: test, then, else: otherwise } = recordExpression(operand);
  const all = (...goals: readonly Goal[]): readonly Variation[] => variationsFor(goals, given.from, given.agents);
  const either = (...parts: readonly unknown[]): readonly Variation[] =>
    parts.flatMap((part) => solved(part, isTrue, given));
  const both = (): readonly Variation[] => all({ expression: left, isTrue }, { expression: right, isTrue });
  switch (operator) {
    case 'Value':
      return operand === isTrue ? [given.from] : [];
    case '!':
      return solved(arg, !isTrue, given);
    case '&&':
      return isTrue ? both() : either(left, right);
    case '||':
      return isTrue ? either(left, right) : both();
    case 'if-then-else':
      return [
        ...all({ expression: test, isTrue: true }, { expression: then, isTrue }),
        ...all({ expression: test, isTrue: false }, { expression: otherwise, isTrue }),
      ];
    case 'in':
    case 'is':
    case 'has':
    case 'like':
    case 'isEmpty':
      return unary.get(operator)?.(operand, isTrue, given) ?? [];
    default:
      return compared(expression, isTrue, given);
  }
}

type Solve = (operand: unknown, isTrue: boolean, given: Given) => readonly Variation[];

const unary: ReadonlyMap<string, Solve> = new Map<string, Solve>([
  ['in', membership],
  [
    'is',
    (operand, isTrue, given) =>
      membership({ left: recordExpression(operand)['left'], right: recordExpression(operand)['in'] }, isTrue, given),
  ],
  ['has', presence],
  ['like', likeness],
  [
    'isEmpty',
    (operand, isTrue, { from }) => {
      const path = contextPath(recordExpression(operand)['arg']);
      return path === null ? [] : [withFactValue(from, path, isTrue ? [] : ['other'])];
    },
  ],
]);

/** The path below `context`; `null` if it is not a plain access. */
function contextPath(expression: unknown): readonly string[] | null {
  const [root, ...path] = pathOf(expression) ?? [];
  return root === 'context' && path.length > 0 ? path : null;
}

/** A known agent inside or outside of the groups; for a trust domain, an agent that it contains by name. */
function membership(operand: unknown, isTrue: boolean, { from, agents }: Given): readonly Variation[] {
  const { left, right } = recordExpression(operand);
  if (pathOf(left)?.join('.') !== 'principal') return [];
  const groups = entitiesIn(right);
  const isMember = (within: ReadonlySet<string>): boolean => groups.some((uid) => within.has(entityKey(uid)));
  const { principal } = from.question;
  const domains = groups.flatMap(({ type, id }) =>
    type === `${NAMESPACE}::TrustDomain` ? [isTrue ? id : ELSEWHERE] : [],
  );
  const moved = domains.flatMap((domain) => agentFrom(principal.replace(/\/\/[^/]*/, `//${domain}`)));
  const known = agents.filter(({ within }) => isMember(within) === isTrue).map(({ id }) => id);
  const unknown = isTrue ? [] : agentFrom(`${principal}-other`);
  return [...moved, ...known, ...unknown].slice(0, 8).map((id) => withAgent(from, id));
}

const ELSEWHERE = 'elsewhere.test';

function agentFrom(text: string): readonly SpiffeId[] {
  const id = spiffeIdFrom(text);
  return isDeny(id) ? [] : [id];
}

function entitiesIn(expression: unknown): readonly { readonly type: string; readonly id: string }[] {
  const { Value: value, Set: items } = recordExpression(expression);
  if (Array.isArray(items)) return items.flatMap(entitiesIn);
  const uid = scopeUid(value);
  return uid === null ? [] : [uid];
}

/** Candidates for a value of unknown type; the engine tells which of them fits. */
const STAND_INS: readonly CedarValue[] = ['other', 1, true, ['other']];

function presence(operand: unknown, isTrue: boolean, { from }: Given): readonly Variation[] {
  const { left, attr } = recordExpression(operand);
  const names = [attr].flat().filter((name) => typeof name === 'string');
  const whole = pathOf(left);
  if (whole?.[0] !== 'context' || names.length === 0) return [];
  const path = [...whole.slice(1), ...names];
  if (!isTrue) return [withFactValue(from, path, undefined)];
  return valueAt(from, path) === undefined ? STAND_INS.map((value) => withFactValue(from, path, value)) : [from];
}

function likeness(operand: unknown, isTrue: boolean, { from }: Given): readonly Variation[] {
  const { left, pattern } = recordExpression(operand);
  const path = contextPath(left);
  if (path === null || !Array.isArray(pattern)) return [];
  const literals = pattern.map((part) => recordExpression(part)['Literal']).filter((part) => typeof part === 'string');
  const literal = literals.join('');
  return isTrue
    ? [withFactValue(from, path, literal)]
    : ['other', '', 'another'].map((text) => withFactValue(from, path, text));
}

/** A comparison of a context value with a known value, or a set operation. */
function compared(expression: unknown, isTrue: boolean, given: Given): readonly Variation[] {
  const [[operator, operand] = ['', undefined]] = Object.entries(recordExpression(expression));
  // Methods of extension values have their operands in a list.
  const { left, right } = Array.isArray(operand) ? { left: operand[0], right: operand[1] } : recordExpression(operand);
  const { from } = given;
  if (readsClock(expression)) return clocks(from);
  const [path, other] = [contextPath(left), contextPath(right)];
  const isEquality = operator === '==' || operator === '!=';
  const agent = isEquality ? pathOf(left)?.join('.') === 'principal' : false;
  if (agent) return membership({ left, right }, isTrue === (operator === '=='), given);
  const [constant, reversed] = [valueOf(right, from), valueOf(left, from)];
  if (operator.startsWith('contains')) return setsFor(operator, isTrue, { path, other, constant, reversed, from });
  if (path !== null && constant !== undefined)
    return valuesFor(operator, isTrue, constant).map((value) => withFactValue(from, path, value));
  const turned = REVERSED.get(operator);
  if (other !== null && reversed !== undefined && turned !== undefined)
    return valuesFor(turned, isTrue, reversed).map((value) => withFactValue(from, other, value));
  return [];
}

const REVERSED = new Map([
  ['==', '=='],
  ['!=', '!='],
  ['<', '>'],
  ['<=', '>='],
  ['>', '<'],
  ['>=', '<='],
  ['lessThan', 'greaterThan'],
  ['lessThanOrEqual', 'greaterThanOrEqual'],
  ['greaterThan', 'lessThan'],
  ['greaterThanOrEqual', 'lessThanOrEqual'],
]);

/** Steps from the constant that satisfy an ordering, and that violate it. */
const STEPS: ReadonlyMap<string, readonly [whenTrue: number, whenFalse: number]> = new Map([
  ['<', [-1, 0]],
  ['<=', [0, 1]],
  ['>', [1, 0]],
  ['>=', [0, -1]],
  ['lessThan', [-1, 0]],
  ['lessThanOrEqual', [0, 1]],
  ['greaterThan', [1, 0]],
  ['greaterThanOrEqual', [0, -1]],
]);

function valuesFor(operator: string, isTrue: boolean, constant: CedarValue): readonly CedarValue[] {
  if (operator === '==' || operator === '!=') return isTrue === (operator === '==') ? [constant] : othersThan(constant);
  const step = STEPS.get(operator)?.[isTrue ? 0 : 1];
  return step === undefined ? [] : stepped(constant, step);
}

function stepped(constant: CedarValue, step: number): readonly CedarValue[] {
  if (typeof constant === 'number') return [constant + step];
  const arg = decimalOf(constant);
  const scaled = arg === null ? null : scaledDecimalFrom(arg);
  return scaled === null ? [] : [decimal(scaled + step)];
}

const decimalOf = (value: CedarValue): unknown => {
  const { fn, arg } = recordExpression(recordExpression(value)['__extn']);
  return fn === 'decimal' ? arg : null;
};

function decimal(scaled: number): CedarValue {
  const digits = String(Math.abs(scaled)).padStart(5, '0');
  const arg = `${scaled < 0 ? '-' : ''}${digits.slice(0, -4)}.${digits.slice(-4)}`;
  return { __extn: { fn: 'decimal', arg } };
}

const RISKS: ReadonlySet<string> = new Set(['low', 'medium', 'high']);

function othersThan(constant: CedarValue): readonly CedarValue[] {
  if (typeof constant === 'boolean') return [!constant];
  if (typeof constant === 'number') return [constant + 1];
  if (typeof constant === 'string')
    return (RISKS.has(constant) ? [...RISKS] : ['other', '']).filter((text) => text !== constant);
  return stepped(constant, 1);
}

interface Sets {
  readonly path: readonly string[] | null;
  readonly other: readonly string[] | null;
  readonly constant: CedarValue | undefined;
  readonly reversed: CedarValue | undefined;
  readonly from: Variation;
}

function setsFor(operator: string, isTrue: boolean, sets: Sets): readonly Variation[] {
  const { path, other, constant, reversed, from } = sets;
  // `["a", "b"].contains(context.x)` needs one value; otherwise members of a set are needed.
  if (operator === 'contains' && path === null && other !== null && isList(reversed)) {
    const values = isTrue ? reversed : ['other'];
    return values.map((value) => withFactValue(from, other, value));
  }
  const [at, members] = path === null ? [other, reversed] : [path, constant];
  if (at === null || members === undefined) return [];
  const asked = isList(members) ? members : [members];
  const isSubset = operator === 'containsAll' && path === null;
  return changedSets(at, asked, { isTrue, isSubset, from });
}

function changedSets(
  path: readonly string[],
  asked: readonly CedarValue[],
  { isTrue, isSubset, from }: { readonly isTrue: boolean; readonly isSubset: boolean; readonly from: Variation },
): readonly Variation[] {
  const now = valueAt(from, path);
  const held = isList(now) ? now : [];
  const texts = new Set(asked.map((value) => JSON.stringify(value)));
  const isAsked = (value: CedarValue): boolean => texts.has(JSON.stringify(value));
  const without = held.filter((value) => !isAsked(value));
  if (isSubset) return [withFactValue(from, path, isTrue ? held.filter(isAsked) : [...held, 'other'])];
  return [withFactValue(from, path, isTrue ? [...without, ...asked] : without)];
}

const isList = (value: CedarValue | undefined): value is readonly CedarValue[] => Array.isArray(value);

/** The value of a constant or of another path; `undefined` for anything else. */
function valueOf(expression: unknown, from: Variation): CedarValue | undefined {
  const path = contextPath(expression);
  if (path !== null) return valueAt(from, path);
  const { Value: value, Set: items, Record: members, decimal: extension } = recordExpression(expression);
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (Array.isArray(extension))
    return { __extn: { fn: 'decimal', arg: String(recordExpression(extension[0])['Value']) } };
  if (Array.isArray(items)) return allOf(items.map((item) => valueOf(item, from)));
  if (members === undefined) return undefined;
  const entries = Object.entries(recordExpression(members)).map(([name, of]) => [name, valueOf(of, from)] as const);
  return entries.every((entry): entry is readonly [string, CedarValue] => entry[1] !== undefined)
    ? Object.fromEntries(entries)
    : undefined;
}

const allOf = (values: readonly (CedarValue | undefined)[]): readonly CedarValue[] | undefined =>
  values.every((value) => value !== undefined) ? values : undefined;

const readsClock = (expression: unknown): boolean =>
  JSON.stringify(expression).includes('{".":{"left":{"Var":"context"},"attr":"now"}}');

const HOUR_MS = 3_600_000;

/** The hours of the question's day, and the same hour of the next six days. */
function clocks(from: Variation): readonly Variation[] {
  const now = valueAt(from, ['now']);
  const { arg } = recordExpression(recordExpression(now)['__extn']);
  const ms = typeof arg === 'string' ? Date.parse(arg) : Number.NaN;
  if (Number.isNaN(ms)) return [];
  const midnight = Math.floor(ms / (24 * HOUR_MS)) * 24 * HOUR_MS;
  const hours = Array.from({ length: 24 }, (_, hour) => midnight + hour * HOUR_MS);
  const days = Array.from({ length: 6 }, (_, day) => ms + (day + 1) * 24 * HOUR_MS);
  return [...hours, ...days].map((at) =>
    withFactValue(from, ['now'], { __extn: { fn: 'datetime', arg: `${new Date(at).toISOString().slice(0, 19)}Z` } }),
  );
}
