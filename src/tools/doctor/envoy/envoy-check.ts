import type { Finding } from '../finding.ts';
import type { EnvoyFacts } from './envoy-facts.ts';

/** A check of one Envoy: its findings have places without the prefix of the file. `null` if it has nothing to examine. */
export interface EnvoyCheck {
  readonly title: string;
  readonly run: (facts: EnvoyFacts) => readonly Finding[] | null;
}
