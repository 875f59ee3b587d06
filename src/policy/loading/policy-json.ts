import type { Cedar } from '../cedar.ts';
import { cedarTokens } from '../cedar-text.ts';

type PolicyToJson = Cedar['policyToJson'];
type PolicyJson = Extract<ReturnType<PolicyToJson>, { readonly type: 'success' }>['json'];

/** More forms than this are not remembered. */
const MAX_FORMS = 10_000;
/** Numbers of the first form, in no policy that a person writes. */
const FIRST_NUMBER = 4_503_599_627_370_000;
const NUMBER = /^\d{1,15}$/;
const PLAIN = /^"[^"\\]*"$/;

/**
 * An engine that gives policies in Cedar's JSON form in less time. Making that form takes the engine as long as everything else
 * together, and the policies of a large set differ mostly in their strings and numbers alone; so policies with otherwise the same words are
 * made once, with a name in the place of each string and number, and each gets its own. For tools alone: what a server decides by
 * is made of each policy by the engine itself.
 */
export function withFormsOnce<C extends Pick<Cedar, 'policyToJson'>>(cedar: C): C {
  const forms = new Map<string, PolicyJson | null>();
  const made = (text: string): ReturnType<PolicyToJson> => cedar.policyToJson(text);
  const policyToJson = (text: string): ReturnType<PolicyToJson> => {
    const strings: string[] = [];
    const numbers: number[] = [];
    const words = cedarTokens(text).map((token, at, all) => {
      // The sign is a part of the number, and what is too large for one of JavaScript is left alone.
      if (NUMBER.test(token.text) && all[at - 1]?.text !== '-') {
        return String(FIRST_NUMBER + numbers.push(Number(token.text)) - 1);
      }
      // With an escape a text is not what is written.
      return PLAIN.test(token.text) ? `"${MARK}${strings.push(token.text.slice(1, -1)) - 1}"` : token.text;
    });
    if (text.includes(MARK) || text.includes(String(FIRST_NUMBER).slice(0, 12))) return made(text);
    const form = words.join(' ');
    let json = forms.get(form);
    if (json === undefined) {
      const answer = made(form);
      json = answer.type === 'failure' ? null : answer.json;
      if (forms.size < MAX_FORMS) forms.set(form, json);
    }
    // What the engine refuses it refuses in the words of the policy itself.
    return json === null ? made(text) : { type: 'success', json: withOwn(json, { strings, numbers }) as PolicyJson };
  };
  return { ...cedar, policyToJson };
}

/** In no policy that a person writes; one that has it is made by itself. */
const MARK = 'string\u2063';

interface Own {
  readonly strings: readonly string[];
  readonly numbers: readonly number[];
}

function withOwn(json: unknown, own: Own): unknown {
  if (typeof json === 'string') return json.startsWith(MARK) ? own.strings[Number(json.slice(MARK.length))] : json;
  if (typeof json === 'number') return own.numbers[json - FIRST_NUMBER] ?? json;
  if (Array.isArray(json)) return patternFrom(json, own) ?? json.map((item) => withOwn(item, own));
  if (typeof json !== 'object' || json === null) return json;
  return Object.fromEntries(Object.entries(json).map(([name, item]) => [withOwn(name, own), withOwn(item, own)]));
}

/** What stands after `like` is a list of its letters, and `Wildcard` for each `*`; `null` for any other list. */
function patternFrom(list: readonly unknown[], own: Own): readonly unknown[] | null {
  const letters = list.map(literalOf).join('');
  if (!letters.startsWith(MARK)) return null;
  const text = own.strings[Number(letters.slice(MARK.length))] ?? '';
  return Array.from(text, (letter) => (letter === '*' ? 'Wildcard' : { Literal: letter }));
}

const literalOf = (item: unknown): string =>
  typeof item === 'object' && item !== null && 'Literal' in item ? String(item.Literal) : '';
