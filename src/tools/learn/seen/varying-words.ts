import { areSlugs, isSlug } from './segment-kind.ts';
import { agentsBelow } from './trie-node.ts';
import type { TrieNode } from './trie-node.ts';

/** Least number of rare words (seen at most twice) at a node for its words to be values of a parameter. */
const MANY_WORDS = 12;
/** Least number of rare words of one agent for all its words to be values. */
const OWN_WORDS = 3;
const RARE = 2;
/** Least number of rare words for them to be values if all of them end in a number (`acme-17`). */
const MANY_NUMBERED = 4;
const NUMBERED = /[_-][0-9]{1,12}$/;
/** Least number of such words of one agent for them to be a guess, about which a person decides. */
const FEW_NUMBERED = 2;
/** Least number of values for plain words to be among them: they are then of unknown kind. */
const MANY_PLAIN_WORDS = 32;

/** Words of a node that are values, and the agents whose new words there are values too. */
export interface VaryingWords {
  readonly words: readonly string[];
  readonly agents: ReadonlySet<string>;
}

const NONE: VaryingWords = { words: [], agents: new Set() };

interface PlacedWord {
  readonly word: string;
  /** Whether it was seen at most twice. */
  readonly isRare: boolean;
  readonly agents: ReadonlySet<string>;
}

/**
 * The words of a node that are values of a parameter, if they are many: rare words that have a digit (`acme-17`), of any agent,
 * and all words that only agents with three or more rare words call. A plain word of another agent stays text, however much
 * others vary theirs: it may be the name of a collection.
 */
export function wordsThatVary(node: TrieNode): VaryingWords {
  const isKnown = node.parameters.has('slug') || node.parameters.has('unknown');
  const placed = [...node.words]
    .filter(([word]) => word !== '')
    .map(([word, child]): PlacedWord => ({ word, isRare: child.hits <= RARE, agents: agentsBelow(child) }));
  const users = usersOf(placed);
  const values = placed.filter(
    ({ word, isRare, agents }) => areAmong(agents, users) || (isRare && isSlug(word) && /[0-9]/.test(word)),
  );
  const rare = values.filter(({ isRare }) => isRare).length;
  const words = values.map(({ word }) => word);
  const numbered = values.filter(({ word, isRare }) => isRare && NUMBERED.test(word)).length;
  const isMany = rare >= MANY_WORDS || (numbered >= MANY_NUMBERED && numbered === rare);
  if (isKnown ? words.length === 0 : !isMany || rare * 2 < callsBeside(placed, users)) return NONE;
  // Plain words may as well be names of collections: only very many are taken together, for a person to decide.
  return areSlugs(words) || words.length >= MANY_PLAIN_WORDS ? { words, agents: users } : NONE;
}

/**
 * The words of a node that may be values of a parameter, although they are few: rare words that end in a number (`acme-17`), of
 * agents that call two or more. A rare job shows no more of them in weeks. None if the node has a slug or unknown parameter.
 */
export function fewThatVary({ words, parameters }: TrieNode): VaryingWords {
  if (parameters.has('slug') || parameters.has('unknown')) return NONE;
  const numbered = [...words]
    .filter(([word, { hits }]) => hits <= RARE && NUMBERED.test(word))
    .map(([word, child]): PlacedWord => ({ word, isRare: true, agents: agentsBelow(child) }));
  const agents = usersOf(numbered, FEW_NUMBERED);
  const own = numbered.filter((one) => areAmong(one.agents, agents));
  return own.length >= FEW_NUMBERED ? { words: own.map(({ word }) => word), agents } : NONE;
}

/** Whether at least half of some words, of which it is known how often each was seen, are rare. */
export const areRare = (words: ReadonlyMap<string, number>): boolean =>
  [...words.values()].filter((hits) => hits <= RARE).length * 2 >= words.size;

/** Agents that call at least this many rare words. */
function usersOf(placed: readonly PlacedWord[], least = OWN_WORDS): ReadonlySet<string> {
  const counts = new Map<string, number>();
  for (const { isRare, agents } of placed)
    if (isRare) for (const agent of agents) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  return new Set([...counts].flatMap(([agent, count]) => (count >= least ? [agent] : [])));
}

/** How many words these agents call; all words if there are no such agents. */
const callsBeside = (placed: readonly PlacedWord[], users: ReadonlySet<string>): number =>
  users.size === 0
    ? placed.length
    : placed.filter(({ agents }) => [...agents].some((agent) => users.has(agent))).length;

/** Whether all of some agents are among others. */
export const areAmong = (some: ReadonlySet<string>, others: ReadonlySet<string>): boolean =>
  [...some].every((agent) => others.has(agent));
