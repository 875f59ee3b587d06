import type { Config } from '../../core/config/config.ts';
import { addressText } from '../../core/config/values.ts';
import type { Address } from '../../core/config/values.ts';
import type { SvidSource } from '../../core/identity/svid.ts';
import type { AuthorityPlace } from '../../sidecar/state/authority-link.ts';

/** The authorities of a sidecar, and how each is asked. */
export interface AuthorityPlaces {
  /** gRPC targets. */
  readonly targets: readonly string[];
  /** How a target is asked now, or why it cannot be. */
  readonly placeOf: (target: string) => AuthorityPlace | string;
}

/** The authorities at these addresses: over TLS with the current SVID, over a Unix socket without TLS. */
export const authorityPlaces = (
  addresses: readonly Address[],
  { authority }: Pick<Config, 'authority'>,
  svid: () => SvidSource | null,
): AuthorityPlaces => ({
  targets: addresses.map(addressText),
  placeOf: (target) => {
    if (target.startsWith('unix:') || authority.id === null) return { target, tls: null };
    const current = svid()?.current() ?? null;
    return current === null
      ? `the authority \`${target}\` is not asked: this process has no SVID yet`
      : { target, tls: { svid: current, authorityId: authority.id } };
  },
});
