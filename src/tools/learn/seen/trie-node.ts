import type { ParameterKind, ParameterValues } from './segment-kind.ts';
import type { SeenCalls } from './seen-calls.ts';

/** A node of the trie, reached by the segments of a path so far. */
export interface TrieNode {
  hits: number;
  /** From this number of hits on, its words are asked once more whether they vary: each time it reads the whole subtree. */
  foldAtHits: number;
  readonly words: Map<string, TrieNode>;
  readonly parameters: Map<ParameterKind, Parameter>;
  /** By HTTP method. */
  readonly ends: Map<string, SeenCalls>;
}

/** The values of one kind at a node, which share a branch. */
export interface Parameter {
  readonly node: TrieNode;
  values: ParameterValues;
  /** Agents whose new words are its values, if it was made of words. A new word of any other agent is text. */
  readonly agents: Set<string>;
  /** Whether it was made of so few words that a person must decide whether it is a parameter. */
  isGuess: boolean;
  /**
   * If it was made before all calls were read: how often its first words were seen, at most 128, which take less room than their nodes did. If
   * most of them are seen again and again later, they were no values.
   */
  firstWords: Map<string, number> | null;
}

/** A node without calls. */
export const emptyNode = (): TrieNode => ({
  hits: 0,
  foldAtHits: 0,
  words: new Map(),
  parameters: new Map(),
  ends: new Map(),
});

/** The agents of all calls to a node and its descendants. */
export function agentsBelow(node: TrieNode): ReadonlySet<string> {
  const agents = new Set<string>();
  const collect = ({ ends, words, parameters }: TrieNode): void => {
    for (const { agents: of } of ends.values()) for (const agent of of.keys()) agents.add(agent);
    for (const child of words.values()) collect(child);
    for (const { node: child } of parameters.values()) collect(child);
  };
  collect(node);
  return agents;
}
