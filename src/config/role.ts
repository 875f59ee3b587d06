import type { AuthorityConfig } from './authority.ts';
import type { StatePlace } from './state.ts';

/** The keys that say what a process is. */
interface RoleKeys {
  readonly state: StatePlace;
  readonly stateAccess: 'exclusive' | 'shared';
  readonly authority: AuthorityConfig;
  readonly issuer: object | null;
  readonly svid: object | null;
}

type Contradiction = { readonly field: string; readonly message: string } | null;

/**
 * A contradiction between the keys that say what a process is: one with a state file, or a sidecar of authorities. `null` where there is
 * none.
 */
export function roleContradiction({ state, stateAccess, authority, issuer, svid }: RoleKeys): Contradiction {
  if (state.kind === 'sqlite') {
    const message = 'is for sidecars: remove it, or name the authorities by `state: authority://host:port`';
    return authority.id === null ? null : { field: 'authority.id', message };
  }
  if (issuer !== null) {
    const message = 'must be absent with `state: authority:…`: tasks are declared at the authority';
    return { field: 'issuer', message };
  }
  if (stateAccess === 'shared') {
    return { field: 'stateAccess', message: 'must be absent with `state: authority:…`: a sidecar has no state file' };
  }
  if (state.addresses.every(({ kind }) => kind === 'unix')) return null;
  if (svid === null) {
    return { field: 'svid', message: 'is required with `state: authority://…`: the sidecar shows it to the authority' };
  }
  const message =
    'is required with `state: authority://…`: the SPIFFE ID of the authorities, which others may not pose as';
  return authority.id === null ? { field: 'authority.id', message } : null;
}
