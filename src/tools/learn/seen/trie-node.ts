import type { ParameterKind, ParameterValues } from './segment-kind.ts';
import type { SeenCalls } from './seen-calls.ts';

/** A place in paths. */
export interface TrieNode {
  hits: number;
  readonly words: Map<string, TrieNode>;
  readonly parameters: Map<ParameterKind, Parameter>;
  /** By HTTP method. */
  readonly ends: Map<string, SeenCalls>;
}

/** Values at a place that share a branch. */
export interface Parameter {
  readonly node: TrieNode;
  values: ParameterValues;
  /** Agents whose words are its values, if it was made of words. A word of another agent is text, whatever they call. */
  readonly agents: Set<string>;
  /** Whether it was made of so few words that a person decides whether it is a parameter. */
  isGuess: boolean;
}

/** A place that nothing was called at. */
export const emptyNode = (): TrieNode => ({ hits: 0, words: new Map(), parameters: new Map(), ends: new Map() });

/** The agents of all calls to a place and what is below it. */
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
