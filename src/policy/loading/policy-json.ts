import { readsOf } from '../answers/reads.ts';
import type { Reads } from '../answers/reads.ts';
import type { Cedar } from '../cedar.ts';
import { cedarTokens } from '../cedar-text.ts';
import type { CedarStatement } from '../cedar-text.ts';
import { readingFrom, readingOf } from './policy-file.ts';
import type { PolicyReading, ReadPolicy } from './policy-file.ts';

type PolicyToJson = Cedar['policyToJson'];
type PolicyJson = Extract<ReturnType<PolicyToJson>, { readonly type: 'success' }>['json'];

/** More forms than this are not remembered. */
const MAX_FORMS = 10_000;
/** Numbers of the first form, in no policy that a person writes. */
const FIRST_NUMBER = 4_503_599_627_370_000;
const FIRST_DIGITS = String(FIRST_NUMBER).slice(0, 12);
const NUMBER = /^\d{1,15}$/;
const PLAIN = /^"[^"\\]*"$/;
/** In no policy that a person writes; one that has it is made by itself. */
const MARK = 'string\u2063';

/** The strings and numbers of one policy, in the order they are written in. */
interface Own {
  readonly strings: string[];
  readonly numbers: number[];
}

/** What policies with otherwise the same words have in common, and what gives each its own strings and numbers. */
interface Form {
  readonly json: Filled<PolicyJson>;
  readonly stated: Filled<Omit<PolicyReading, 'reads'>>;
  /** `null` where it depends on the strings and numbers. */
  readonly reads: Reads | null;
}

type Filled<T> = (own: Own) => T;

/** What `withFormsOnce` adds to an engine. */
export interface PolicyForms {
  /** @param tokens of the text, where they are known */
  readonly policyToJson: (text: string, tokens?: CedarStatement['tokens']) => ReturnType<PolicyToJson>;
  readonly readPolicy: ReadPolicy;
}

/**
 * An engine that gives policies in Cedar's JSON form in less time. Making that form takes the engine as long as everything else
 * together, and the policies of a large set differ mostly in their strings and numbers alone; so policies with otherwise the same words are
 * made once, with a name in the place of each string and number, and each gets its own. For tools alone: what a server decides by
 * is made of each policy by the engine itself.
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
  // What the engine refuses it refuses in the words of the policy itself.
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

/** The words of a policy with a name in the place of each string and number, which become `own`. */
function wordsOf(tokens: CedarStatement['tokens'], own: Own): string {
  let words = '';
  for (const [at, { text }] of tokens.entries()) {
    // The sign is a part of the number, and what is too large for one of JavaScript is left alone.
    if (NUMBER.test(text) && tokens[at - 1]?.text !== '-')
      words += `${FIRST_NUMBER + own.numbers.push(Number(text)) - 1} `;
    // With an escape a text is not what is written.
    else if (PLAIN.test(text)) words += `"${MARK}${own.strings.push(text.slice(1, -1)) - 1}" `;
    else words += `${text} `;
  }
  return words;
}

function formFrom(json: PolicyJson): Form {
  const { reads, ...stated } = readingOf(json);
  return { json: filler(json), stated: filler(stated), reads: isReadByOwn(reads, json) ? null : reads };
}

/** Literals whose order with others is read, and cannot be where a name stands in their place. */
const ORDERED_TEXT = /"(?:decimal|datetime)":/;

/** Whether what is read depends on the strings and numbers of the policy. */
const isReadByOwn = (reads: Reads, json: PolicyJson): boolean => {
  const text = JSON.stringify(reads, (_name, value: unknown) =>
    value instanceof Map || value instanceof Set ? [...value] : value,
  );
  return text.includes(MARK) || text.includes(FIRST_DIGITS) || ORDERED_TEXT.test(JSON.stringify(json));
};

/** Gives a value with names in it each policy's own in their place. What has no name in it is the same object for all. */
function filler<T>(value: T): Filled<T> {
  const fill = fillerOf(value) ?? (() => value);
  return fill as Filled<T>;
}

/** `null` for a value without a name in it. */
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
  // A name becomes a string and a number a number.
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
  // An attribute that is written as a string has a name in the place of its own.
  return names === null ? filled : (own) => renamed(filled(own), names(own));
}

const renamed = (record: Readonly<Record<string, unknown>>, names: readonly string[]): unknown =>
  Object.fromEntries(Object.values(record).map((value, at) => [names[at] ?? '', value]));

/** What stands after `like` is a list of its letters, and `Wildcard` for each `*`; `null` for any other list. */
function patternFiller(list: readonly unknown[]): Filled<unknown> | null {
  const letters = list.map(literalOf).join('');
  if (!letters.startsWith(MARK)) return null;
  const textOf = stringAt(letters);
  return (own) => Array.from(textOf(own), (letter) => (letter === '*' ? 'Wildcard' : { Literal: letter }));
}

const literalOf = (item: unknown): string =>
  typeof item === 'object' && item !== null && 'Literal' in item ? String(item.Literal) : '';
