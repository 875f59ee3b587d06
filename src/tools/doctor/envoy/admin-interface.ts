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

/** Whether a route to it matches nothing but paths that are read. */
export const isScrape = (match: unknown): boolean =>
  ['path', 'prefix', 'path_separated_prefix'].some((name) => SCRAPED.test(textAt(match, name)));
