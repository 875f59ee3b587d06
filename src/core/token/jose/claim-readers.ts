/** Readers of claims, each with its bound. */
import { isDeny } from '../../decision/decision.ts';
import { spiffeIdFrom, type SpiffeId } from '../../identity/spiffe-id.ts';
import { BoundedMemo, ownTextOf } from '../../runtime/collections/bounded-memo.ts';
import { made, type MemberRules, members, oneOrMore, optional, type Reader, text } from '../../runtime/fields.ts';
import { isProblem } from '../../runtime/problem.ts';

/** Limits of claims and of subject tokens, in characters or entries. */
export const claimLimits = Object.freeze({
  maxCharacters: 512,
  minTokenIdCharacters: 16,
  maxTokenIdCharacters: 256,
  maxScopeCharacters: 8192,
  maxActors: 3,
  /** Longest compact token of another issuer that is exchanged: identity providers write the groups of a user into it. */
  maxSubjectTokenCharacters: 16_384,
});

const { maxCharacters, maxScopeCharacters, maxTokenIdCharacters, minTokenIdCharacters } = claimLimits;

/** Parses a name: an issuer, a subject. */
export const name = text({ max: maxCharacters });

/** Parses `aud`: one name or several. @see RFC 7519 section 4.1.3 */
export const audience = oneOrMore(name, { min: 0, max: maxCharacters });

/** Parses the SPIFFE ID of a workload. */
export const spiffeId: Reader<SpiffeId> = made(text({ max: 2048 }), (value) => {
  const id = spiffeIdFrom(value);
  return isDeny(id) ? { problem: 'must be a SPIFFE ID' } : id;
});

/** Parses a task id: a UUID in lower case. */
export const taskId = text({
  max: 36,
  grammar: {
    matches: (id) => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id),
    words: 'a UUID in lower case',
  },
});

const scopeText = text({
  max: maxScopeCharacters,
  grammar: {
    matches: (scope) => /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(scope),
    words: 'scope tokens separated by single spaces',
  },
});

const scopes = new BoundedMemo<readonly string[]>();

/** Parses `scope` into tokens, memoised by text; empty if absent. @see RFC 6749 section 3.3 */
export const scope: Reader<readonly string[]> = made(optional(scopeText), (value) =>
  scopes.of(value ?? '', (tokens) => Object.freeze(tokens === '' ? [] : tokens.split(' ').map(ownTextOf))),
);

/** Parses `jti`, which must be long enough not to be guessed. @see RFC 7519 section 4.1.7 */
export const tokenId = text({ min: minTokenIdCharacters, max: maxTokenIdCharacters });

/** Passes a member on unparsed, wrapped so that its own `problem` member is not mistaken for a problem. */
const nested = (value: unknown): { readonly value: unknown } => ({ value });

/**
 * Makes a reader of the chain of actors in `act`, outermost first, at most `maxActors`; empty if there is none.
 *
 * @param rules whether an actor may have other members
 * @see RFC 8693 section 4.1
 */
export function actorChain(rules: Required<Pick<MemberRules, 'others'>>): Reader<readonly string[]> {
  const actor = members({ sub: name, act: nested }, rules);
  return (value) => {
    const chain: string[] = [];
    let next = value;
    while (next !== undefined) {
      if (chain.length === claimLimits.maxActors)
        return { problem: `must nest at most ${claimLimits.maxActors} actors` };
      const read = actor(next);
      if (isProblem(read)) return read;
      chain.push(read.sub);
      next = read.act.value;
    }
    return chain;
  };
}
