import { areSlugs, isSlug } from './segment-kind.ts';
import { agentsBelow } from './trie-node.ts';
import type { TrieNode } from './trie-node.ts';

/** From this number of words on that were seen at most twice, words at one place may be values of a parameter. */
const MANY_WORDS = 12;
/** From this number on of such words of its own, an agent calls a parameter. */
const OWN_WORDS = 3;
const RARE = 2;
/** From this number of words on that end in a number after a sign (`acme-17`), they are values, however few. */
const MANY_NUMBERED = 4;
const NUMBERED = /[_-][0-9]{1,12}$/;
/** From this number of such words of its own on, which are fewer, an agent may call a parameter: a person decides. */
const FEW_NUMBERED = 2;
/** From this number on, plain words may be values too: of unknown kind. */
const MANY_PLAIN_WORDS = 32;

/** Words at one place that are values, and the agents all of whose new words there are values too. */
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
 * The words at a place that are values of a parameter: those seen at most twice that have a digit (`acme-17`), and all words of agents that call at
 * least three such words, if these are many. A plain word of another agent stays text, however much others vary theirs: it may be the name of a
 * collection.
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
 * The words at a place that may be values of a parameter, although they are few: those that end in a number (`acme-17`), were seen at most twice, and
 * of which an agent calls two or more. An errand that is done now and then shows no more in weeks. None if a parameter is known there.
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

/** Agents that call at least so many words that were seen at most twice. */
function usersOf(placed: readonly PlacedWord[], least = OWN_WORDS): ReadonlySet<string> {
  const counts = new Map<string, number>();
  for (const { isRare, agents } of placed)
    if (isRare) for (const agent of agents) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  return new Set([...counts].flatMap(([agent, count]) => (count >= least ? [agent] : [])));
}

/** How many words these agents call; all words if there are none. */
const callsBeside = (placed: readonly PlacedWord[], users: ReadonlySet<string>): number =>
  users.size === 0
    ? placed.length
    : placed.filter(({ agents }) => [...agents].some((agent) => users.has(agent))).length;

/** Whether all of some agents are among others. */
export const areAmong = (some: ReadonlySet<string>, others: ReadonlySet<string>): boolean =>
  [...some].every((agent) => others.has(agent));
