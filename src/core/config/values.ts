/** Readers of values in a configuration: addresses, SPIFFE IDs, URLs, paths and durations. */
import { isAbsolute, resolve } from 'node:path';
import { isDeny } from '../decision/decision.ts';
import { spiffeIdFrom, trustDomainFrom } from '../identity/spiffe-id.ts';
import type { SpiffeId, TrustDomain } from '../identity/spiffe-id.ts';
import { integer, oneOf, optional, textOf } from '../runtime/fields.ts';
import type { Reader } from '../runtime/fields.ts';
import { listed } from './fields.ts';

/** A listen address: a Unix socket by its absolute path, or a host and port. */
export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** `unix:/path` or `host:port`. */
export const address = textOf<Address>('`unix:/path` or `host:port`', (value) => {
  if (value.startsWith('unix:')) {
    const path = value.slice('unix:'.length);
    if (!isAbsolute(path)) return { problem: 'the path of the socket must be absolute' };
    return Buffer.byteLength(path) > 107 ? { problem: 'a socket path has at most 107 bytes' } : { kind: 'unix', path };
  }
  const at = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(value);
  const port = Number(at?.[3]);
  return at && port <= 65_535 ? { kind: 'tcp', host: at[1] ?? at[2] ?? '', port } : { problem: `got \`${value}\`` };
});

/** The text of an address. */
export const addressText = (value: Address): string => {
  if (value.kind === 'unix') return `unix:${value.path}`;
  return value.host.includes(':') ? `[${value.host}]:${value.port}` : `${value.host}:${value.port}`;
};

/** A SPIFFE trust domain. */
export const trustDomain = textOf<TrustDomain>('a SPIFFE trust domain such as `acme.test`', (value) => {
  const parsed = trustDomainFrom(value);
  return isDeny(parsed) ? { problem: parsed.detail } : parsed;
});

/** The SPIFFE ID of a workload. */
export const spiffeIdText = textOf<SpiffeId>('a SPIFFE ID such as `spiffe://acme.test/gateway`', (value) => {
  const parsed = spiffeIdFrom(value);
  return isDeny(parsed) ? { problem: parsed.detail } : parsed;
});

/** An identifier that is compared exactly. Not every issuer is a URL. */
export const identifier = textOf<string>('an identifier of at most 2048 characters', (value) =>
  /^[\x21-\x7e]{1,2048}$/.test(value) ? value : { problem: 'it has a character that is not printable ASCII' },
);

/** A host name without a port. */
export const hostName = textOf<string>('a host name such as `remit.acme.test`', (value) =>
  /^[A-Za-z0-9._-]{1,253}$/.test(value) ? value : { problem: `got \`${value}\`` },
);

/** The `https:` URL of an issuer or gateway. */
export const httpsUrl = textOf<string>('an `https:` URL without query, fragment and trailing slash', (value) =>
  /^https:\/\/[A-Za-z0-9.-]+(?::\d{1,5})?(?:\/[A-Za-z0-9._~/-]*[A-Za-z0-9._~-])?$/.test(value)
    ? value
    : { problem: 'invalid URL' },
);

/** A path; a relative path is resolved against `folder`. */
export const pathIn = (folder: string) => textOf<string>('a path', (value) => resolve(folder, value));

/** Location of a key set: an `https:` URL or a file. */
export const jwksIn = (folder: string) =>
  textOf<string>('an `https:` URL or a file', (value) =>
    value.startsWith('https://') ? value : resolve(folder, value),
  );

/** Accepted `alg` values; ES256 by default. */
export const algorithmNames = optional(listed(oneOf(['ES256', 'Ed25519', 'RS256'])), ['ES256']);

/** Whole seconds from `min` to `max`, or the word `off`, which gives `null`: nothing is turned off by a number alone. */
export const secondsOrOff = (min: number, max: number): Reader<number | null> => {
  const seconds = integer(min, max);
  return (value, place) => {
    if (value === 'off') return null;
    const read = seconds(value, place);
    return typeof read === 'number' ? read : { problem: `${read.problem}, or \`off\`` };
  };
};
