/** A contradiction between the keys that say what a process is. */
import type { AuthorityConfig } from './authority.ts';
import { FROM_AUTHORITY } from './policies.ts';
import type { PoliciesConfig } from './policies.ts';
import type { RecordsConfig } from './records.ts';
import type { StatePlace } from './state.ts';
import type { Address } from './values.ts';

/** The keys that say what a process is. */
interface RoleKeys {
  readonly state: StatePlace;
  readonly authority: AuthorityConfig;
  readonly issuer: { readonly signingKey: string | null } | null;
  readonly svid: object | null;
  readonly records: RecordsConfig;
  readonly policies: Pick<PoliciesConfig, 'bundle'>;
  readonly extAuthz: { readonly proofMemory: 'own' | 'authority' };
}

type Contradiction = { readonly field: string; readonly message: string } | null;

/**
 * A contradiction between the keys that say what a process is: a process with a state file, which may be an authority for sidecars, or a
 * sidecar. `null` if there is none.
 */
export const roleContradiction = (keys: RoleKeys): Contradiction =>
  recordsContradiction(keys) ??
  policiesContradiction(keys) ??
  (keys.state.kind === 'authority' ? sidecarContradiction(keys, keys.state.addresses) : authorityContradiction(keys));

function recordsContradiction({ records: { place }, state, authority: { listen } }: RoleKeys): Contradiction {
  if (place !== null && listen.length === 0) {
    const message = 'is for the records of sidecars: remove it, or serve sidecars by `authority.listen`';
    return { field: 'records', message };
  }
  if (place?.kind === 'postgres' && state.kind !== 'postgres') {
    return {
      field: 'records',
      message: 'is `postgres`, which needs `state: postgres://…`: name a folder by `file:/path`',
    };
  }
  return null;
}

function policiesContradiction({ policies: { bundle }, state }: RoleKeys): Contradiction {
  if (bundle?.from !== FROM_AUTHORITY || state.kind === 'authority') return null;
  const message = 'is `authority`, which is for sidecars: name a file or a URL, or set `state: authority://host:port`';
  return { field: 'policies.bundle.from', message };
}

function sidecarContradiction({ authority, issuer, svid }: RoleKeys, addresses: readonly Address[]): Contradiction {
  if (issuer !== null) {
    const message = 'must be absent with `state: authority:…`: tasks are declared at the authority';
    return { field: 'issuer', message };
  }
  if (authority.listen.length > 0) {
    return {
      field: 'authority.listen',
      message: 'must be absent with `state: authority:…`: a sidecar has no sidecars',
    };
  }
  if (addresses.every(isUnix)) return null;
  if (svid === null) {
    return { field: 'svid', message: 'is required with `state: authority://…`: the sidecar shows it to the authority' };
  }
  const message =
    'is required with `state: authority://…`: the SPIFFE ID of the authorities, which others may not pose as';
  return authority.id === null ? { field: 'authority.id', message } : null;
}

function authorityContradiction({ state, authority, issuer, svid, extAuthz }: RoleKeys): Contradiction {
  if (extAuthz.proofMemory === 'authority') {
    return { field: 'extAuthz.proofMemory', message: 'is `authority`, which is for sidecars: remove it' };
  }
  if (authority.id !== null) {
    const message = 'is for sidecars: remove it, or name the authorities by `state: authority://host:port`';
    return { field: 'authority.id', message };
  }
  if (authority.listen.length === 0) {
    const message = 'is required with `state: postgres://…`: it serves sidecars, and no checks of its own';
    return state.kind === 'postgres' ? { field: 'authority.listen', message } : null;
  }
  if (state.kind !== 'postgres' && authority.stateKey !== null) {
    return {
      field: 'authority.stateKey',
      message: 'is for `state: postgres://…`, whose rows it authenticates: remove it',
    };
  }
  if (state.kind === 'postgres' && issuer !== null && issuer.signingKey !== null) {
    const message =
      'must be absent with `state: postgres://…`: each authority makes a key of its own, which never leaves its memory';
    return { field: 'issuer.signingKey', message };
  }
  if (issuer === null) {
    const message = 'is required with `authority.listen`: sidecars serve the tasks that are declared here';
    return { field: 'issuer', message };
  }
  if (authority.sidecars.length === 0) {
    const message = 'is required with `authority.listen`: which audiences sidecars may serve, by their SPIFFE ID';
    return { field: 'authority.sidecars', message };
  }
  if (svid === null && !authority.listen.every(isUnix)) {
    return { field: 'svid', message: 'is required with `authority.listen: host:port`: sidecars verify it' };
  }
  return null;
}

const isUnix = ({ kind }: Address): boolean => kind === 'unix';
