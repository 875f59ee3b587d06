import type { CanaryFacts } from './canary/canary-facts.ts';
import type { EnvoyFacts } from './envoy/envoy-facts.ts';
import type { HostObject } from './hosts/host-object.ts';
import type { RemitFacts } from './remit/remit-facts.ts';

/** All that was collected, as values: checks read nothing else. A part that was not asked for is `null` or empty. */
export interface Facts {
  /** The running Envoy, and each bootstrap among the files. */
  readonly envoys: readonly EnvoyFacts[];
  /** Documents of the files of a host: Istio, Envoy Gateway, agentgateway. */
  readonly objects: readonly HostObject[];
  /** The Remit of this machine, or that of `--remit`. */
  readonly remit: RemitFacts | null;
  /** The result of the canary call. */
  readonly canary: CanaryFacts | null;
}

/** Facts in which nothing was examined. */
export const NO_FACTS: Facts = { envoys: [], objects: [], remit: null, canary: null };

/** A text file for `--bundle`, without secrets. */
export interface BundlePart {
  /** As read, such as the absolute path of a file; `bundleOf` makes it plain. */
  readonly name: string;
  readonly text: string;
}

/** What one collector read. */
export interface Collected {
  readonly facts: Partial<Facts>;
  /** A line for each thing that was read, such as `Envoy 1.40.0 at unix:/run/admin.sock: 2 listeners, 5 clusters`. */
  readonly examined: readonly string[];
  /** A line for each thing that was asked for and could not be read, with the reason. */
  readonly unread: readonly string[];
  readonly parts: readonly BundlePart[];
}
