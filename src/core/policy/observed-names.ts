/** The names by which calls are observed: of agents and of servers, in `enforcement.yaml` and in an emergency. */
import { isHost } from '../action/catalog/catalog-file.ts';
import type { Catalog } from '../action/catalog/catalog.ts';
import { isSpiffeIdPattern } from '../identity/spiffe-id-pattern.ts';
import { EVERY_AGENT } from './enforcement.ts';

/** Most agents, and most servers, that are named together. */
export const MAX_OBSERVED_NAMES = 64;

/** Whether a text names agents: `*`, or a pattern of SPIFFE IDs. */
export const isObservedAgent = (value: string): boolean => value === EVERY_AGENT || isSpiffeIdPattern(value);

/** Whether a pattern has no name of its own: `ns` and `sa` are in every ID that SPIRE gives to a pod. */
export const isOfEverybody = (pattern: string): boolean =>
  pattern === EVERY_AGENT ||
  pattern
    .split('/')
    .slice(3)
    .every((segment) => segment === 'ns' || segment === 'sa' || /^\*+$/.test(segment));

/** Whether a text names a server: the id of one of the catalog, or a host that the catalog may lack. */
export const isObservedServer = (value: string, { servers }: Catalog): boolean =>
  servers.has(value) || isForeignHost(value);

/**
 * Whether a text is a host that the catalog may lack. It has at least two labels, so that a mistyped server id is not taken for a host, and
 * `*.test` does not cover a whole top-level domain.
 */
const isForeignHost = (value: string): boolean =>
  value.startsWith('*.') ? isForeignHost(value.slice(2)) : isHost(value) && /[.:]/.test(value);

/** What to write instead of a text that names no server. */
export const serversHelp = ({ servers }: Catalog): string =>
  `servers of the catalog: ${[...servers.keys()].slice(0, 20).join(', ')}; a host that it lacks is written like \`legacy.acme.test\` or \`*.acme.test\``;
