import { at, listAt, textAt } from '../tree.ts';
import { addressOf } from './reach/cluster.ts';
import type { EnvoyConfig } from './envoy-config.ts';

/** The address of the admin interface, written as an endpoint. `null` if the bootstrap has none. */
export const adminAddressIn = ({ bootstrap }: Pick<EnvoyConfig, 'bootstrap'>): string | null => {
  const address = at(bootstrap, 'admin', 'address');
  return address === undefined ? null : addressOf(address);
};

/** Whether each process of the host, over TCP, gets an answer to any path, also to those that change Envoy. */
export const answersAllPaths = ({ bootstrap }: Pick<EnvoyConfig, 'bootstrap'>): boolean =>
  at(bootstrap, 'admin', 'address', 'socket_address') !== undefined &&
  listAt(bootstrap, 'admin', 'allow_paths').length === 0;

const SCRAPED = /^\/(?:stats|ready|healthz)(?:[/?]|$)/;

/** Rewrites of a path whose result is not known. */
const REWRITES = ['regex_rewrite', 'path_rewrite_policy', 'path_rewrite'] as const;

/** Whether a route to it leads to nothing but paths that are read: as they are matched, or as the route rewrites them. */
export function isScrape(match: unknown, action: unknown): boolean {
  if (REWRITES.some((name) => at(action, name) !== undefined)) return false;
  const matched = ['path', 'prefix', 'path_separated_prefix'].map((name) => textAt(match, name));
  const rewrite = textAt(action, 'prefix_rewrite');
  return rewrite === '' ? matched.some((path) => SCRAPED.test(path)) : SCRAPED.test(rewrite);
}
