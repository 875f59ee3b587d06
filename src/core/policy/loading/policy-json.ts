/** Policies in the JSON format of Cedar; equal forms are converted once. */
import { readsOf } from '../answers/reads.ts';
import type { Reads } from '../answers/reads.ts';
import type { Cedar } from '../cedar.ts';
import { cedarTokens } from '../cedar-text.ts';
import type { CedarStatement } from '../cedar-text.ts';
import { readingFrom, readingOf } from './policy-file.ts';
import type { PolicyReading, ReadPolicy } from './policy-file.ts';

type PolicyToJson = Cedar['policyToJson'];
type PolicyJson = Extract<ReturnType<PolicyToJson>, { readonly type: 'success' }>['json'];

/** Most memoised forms. */
const MAX_FORMS = 10_000;
/** First placeholder for numbers; no policy written by a person contains it. */
const FIRST_NUMBER = 4_503_599_627_370_000;
const FIRST_DIGITS = String(FIRST_NUMBER).slice(0, 12);
const NUMBER = /^\d{1,15}$/;
const PLAIN = /^"[^"\\]*"$/;
/** Placeholder for strings; a policy that contains it is converted without a form. */
const MARK = 'string\u2063';

/** The strings and numbers of one policy, in order of appearance. */
interface Own {
  readonly strings: string[];
  readonly numbers: number[];
}

/** What policies share that differ in strings and numbers only; each member fills in a policy's own. */
interface Form {
  readonly json: Filled<PolicyJson>;
  readonly stated: Filled<Omit<PolicyReading, 'reads'>>;
  /** `null` if the reads depend on the strings and numbers. */
  readonly reads: Reads | null;
}

type Filled<T> = (own: Own) => T;

/** The methods that `withFormsOnce` adds to an engine. */
export interface PolicyForms {
  /** @param tokens of the text, if already known */
  readonly policyToJson: (text: string, tokens?: CedarStatement['tokens']) => ReturnType<PolicyToJson>;
  readonly readPolicy: ReadPolicy;
}

/**
 * An engine that converts policies to Cedar's JSON format faster. The conversion takes as long as all other work together, and
 * most policies of a large set differ in strings and numbers only. Such policies are converted once, with placeholders for
 * strings and numbers, which are then filled in per policy. For tools only: a server has the engine convert every policy.
 */
export function withFormsOnce<C extends Pick<Cedar, 'policyToJson'>>(cedar: C): C & PolicyForms {
  const forms = new Map<string, Form | null>();
  const formOf = ({ text, tokens }: Parameters<ReadPolicy>[0]): { readonly form: Form; readonly own: Own } | null => {
    if (text.includes(MARK) || text.includes(FIRST_DIGITS)) return null;
    const own: Own = { strings: [], numbers: [] };
    const words = wordsOf(tokens, own);
    let form = forms.get(words);
    if (form === undefined) {
      const answer = cedar.policyToJson(words);
      form = answer.type === 'failure' ? null : formFrom(answer.json);
      if (forms.size < MAX_FORMS) forms.set(words, form);
    }
    return form === null ? null : { form, own };
  };
  // Errors come from the policy's own text, so that messages quote it.
  const policyToJson: PolicyForms['policyToJson'] = (text, tokens = cedarTokens(text)) => {
    const found = formOf({ text, tokens });
    return found === null ? cedar.policyToJson(text) : { type: 'success', json: found.form.json(found.own) };
  };
  const readPolicy: ReadPolicy = (policy) => {
    const found = formOf(policy);
    if (found === null) return readingFrom(cedar.policyToJson(policy.text));
    const { form, own } = found;
    return { type: 'success', reading: { ...form.stated(own), reads: form.reads ?? readsOf(form.json(own)) } };
  };
  return { ...cedar, policyToJson, readPolicy };
}

/** The tokens of a policy with placeholders for its strings and numbers, which are added to `own`. */
function wordsOf(tokens: CedarStatement['tokens'], own: Own): string {
  let words = '';
  for (const [at, { text }] of tokens.entries()) {
    // A negative number includes its sign, and a number that a double cannot hold stays as it is.
    if (NUMBER.test(text) && tokens[at - 1]?.text !== '-')
      words += `${FIRST_NUMBER + own.numbers.push(Number(text)) - 1} `;
    // The value of a string with escapes differs from its text, so it stays as it is.
    else if (PLAIN.test(text)) words += `"${MARK}${own.strings.push(text.slice(1, -1)) - 1}" `;
    else words += `${text} `;
  }
  return words;
}

function formFrom(json: PolicyJson): Form {
  const { reads, ...stated } = readingOf(json);
  return { json: filler(json), stated: filler(stated), reads: isReadByOwn(reads, json) ? null : reads };
}

/** Literals whose order matters; a placeholder has none. */
const ORDERED_TEXT = /"(?:decimal|datetime)":/;

/** Whether the reads depend on the policy's strings and numbers. */
const isReadByOwn = (reads: Reads, json: PolicyJson): boolean => {
  const text = JSON.stringify(reads, (_name, value: unknown) =>
    value instanceof Map || value instanceof Set ? [...value] : value,
  );
  return text.includes(MARK) || text.includes(FIRST_DIGITS) || ORDERED_TEXT.test(JSON.stringify(json));
};

/** Returns a function that replaces placeholders by a policy's own values. A value without placeholders is shared by all. */
function filler<T>(value: T): Filled<T> {
  const fill = fillerOf(value) ?? (() => value);
  return fill as Filled<T>;
}

/** `null` for a value without placeholders. */
function fillerOf(value: unknown): Filled<unknown> | null {
  if (typeof value === 'string') return value.startsWith(MARK) ? stringAt(value) : null;
  if (typeof value === 'number')
    return value < FIRST_NUMBER ? null : (own) => own.numbers[value - FIRST_NUMBER] ?? value;
  if (typeof value !== 'object' || value === null) return null;
  return Array.isArray(value) ? (patternFiller(value) ?? listFiller(value)) : recordFiller(Object.entries(value));
}

const stringAt = (name: string): ((own: Own) => string) => {
  const at = Number(name.slice(MARK.length));
  return ({ strings }) => strings[at] ?? '';
};

function listFiller<T>(list: readonly T[]): Filled<readonly T[]> | null {
  const fillers = list.map(fillerOf);
  if (fillers.every((fill) => fill === null)) return null;
  // Safe: a string is replaced by a string, a number by a number.
  return (own) => list.map((item, at) => (fillers[at]?.(own) as T | undefined) ?? item);
}

function recordFiller(entries: readonly (readonly [string, unknown])[]): Filled<unknown> | null {
  const fillers = entries.flatMap(([name, value]) => {
    const fill = fillerOf(value);
    return fill === null ? [] : [[name, fill] as const];
  });
  const names = listFiller(entries.map(([name]) => name));
  if (fillers.length === 0 && names === null) return null;
  const shared = Object.fromEntries(entries);
  const filled = (own: Own): Record<string, unknown> => {
    const record = { ...shared };
    for (const [name, fill] of fillers) record[name] = fill(own);
    return record;
  };
  // An attribute name written as a string is a placeholder too.
  return names === null ? filled : (own) => renamed(filled(own), names(own));
}

const renamed = (record: Readonly<Record<string, unknown>>, names: readonly string[]): unknown =>
  Object.fromEntries(Object.values(record).map((value, at) => [names[at] ?? '', value]));

/** Cedar's JSON has the pattern of `like` as a list of characters, with `Wildcard` for `*`. `null` for any other list. */
function patternFiller(list: readonly unknown[]): Filled<unknown> | null {
  const letters = list.map(literalOf).join('');
  if (!letters.startsWith(MARK)) return null;
  const patternText = stringAt(letters);
  return (own) => Array.from(patternText(own), (letter) => (letter === '*' ? 'Wildcard' : { Literal: letter }));
}

const literalOf = (item: unknown): string =>
  typeof item === 'object' && item !== null && 'Literal' in item ? String(item.Literal) : '';
