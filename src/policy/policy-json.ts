import type { Cedar } from './cedar.ts';
import type { CedarToken } from './cedar-text.ts';

/** A policy in Cedar's JSON form, as far as the rules look at it. */
type PolicyJson = Pick<
  Extract<ReturnType<Cedar['policyToJson']>, { readonly type: 'success' }>['json'],
  'principal' | 'action' | 'resource' | 'conditions'
>;

/** The JSON form of a policy, whose tokens are given; `null` where Cedar has none. */
export type JsonOfPolicy = (text: string, tokens: readonly CedarToken[]) => PolicyJson | null;

/** More forms than this are not remembered. */
const MAX_FORMS = 10_000;
/** Numbers of the first form, in no policy that a person writes. */
const FIRST_NUMBER = 4_503_599_627_370_000;
const NUMBER = /^\d{1,15}$/;
const PLAIN = /^"[^"\\]*"$/;

/**
 * Gives policies in Cedar's JSON form. Making it takes the engine as long as everything else together, and the policies of a large
 * set differ mostly in their strings and numbers alone; so policies with all but the same words are made once, with a name in the place of each
 * string and number, and each gets its own. For tools alone: what a server decides by is made of each policy by the engine itself.
 */
export function policyJson(cedar: Pick<Cedar, 'policyToJson'>): JsonOfPolicy {
  const forms = new Map<string, PolicyJson | null>();
  const made = (text: string): PolicyJson | null => {
    const answer = cedar.policyToJson(text);
    return answer.type === 'failure' ? null : answer.json;
  };
  return (text, tokens) => {
    const strings: string[] = [];
    const numbers: number[] = [];
    const words = tokens.slice(startOf(tokens)).map((token, at, all) => {
      const before = all[at - 1]?.text;
      // The sign is a part of the number, and what is too large for one of JavaScript is left alone.
      if (NUMBER.test(token.text) && before !== '-') return String(FIRST_NUMBER + numbers.push(Number(token.text)) - 1);
      // What stands after `like` is a pattern, which is kept letter by letter; with an escape a text is not what is written.
      if (!PLAIN.test(token.text) || before === 'like') return token.text;
      return `"${MARK}${strings.push(token.text.slice(1, -1)) - 1}"`;
    });
    if (text.includes(MARK) || text.includes(String(FIRST_NUMBER).slice(0, 12))) return made(text);
    const form = words.join(' ');
    let json = forms.get(form);
    if (json === undefined) {
      json = made(form);
      if (forms.size < MAX_FORMS) forms.set(form, json);
    }
    return json === null ? made(text) : (withOwn(json, { strings, numbers }) as PolicyJson);
  };
}

/** In no policy that a person writes; one that has it is made by itself. */
const MARK = 'string\u2063';

/** After the annotations, which no rule reads here. */
function startOf(tokens: readonly CedarToken[]): number {
  let at = 0;
  while (tokens[at]?.text === '@') at += tokens[at + 2]?.text === '(' ? 5 : 2;
  return at;
}

interface Own {
  readonly strings: readonly string[];
  readonly numbers: readonly number[];
}

function withOwn(json: unknown, own: Own): unknown {
  if (typeof json === 'string') return json.startsWith(MARK) ? own.strings[Number(json.slice(MARK.length))] : json;
  if (typeof json === 'number') return own.numbers[json - FIRST_NUMBER] ?? json;
  if (Array.isArray(json)) return json.map((item) => withOwn(item, own));
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([name, item]) => [withOwn(name, own), withOwn(item, own)]));
}
