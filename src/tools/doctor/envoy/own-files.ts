import type { Finding } from '../finding.ts';
import { textAt } from '../tree.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { EnvoyFacts, NamedFile, TrustedCa } from './envoy-facts.ts';
import { pathsIn, pathsOf } from './named-paths.ts';
import type { NamedPath } from './named-paths.ts';
import { guardedOf } from './remit-filter.ts';
import { validationContextsOf } from './reach/upstream-tls.ts';

/** Nobody else writes the files by which Envoy decides whom to trust and what to do, or reads its private keys. */
export const ownFiles: EnvoyCheck = {
  title:
    'nobody else can write the files that give Envoy trust anchors, configuration and code, or read its private keys',
  run: (facts) => {
    const paths = pathsOf(facts.config);
    if (paths.length === 0 && facts.files.size === 0) return null;
    return paths
      .flatMap((named) => fileFindings(named, facts))
      .concat(
        inlineKeys(paths, facts),
        guardedOf(facts).flatMap(({ chain }) =>
          validationContextsOf(chain.transport.tls, facts).flatMap((context) =>
            severalCas(context, facts, chain.where),
          ),
        ),
      );
  },
};

function fileFindings(named: NamedPath, facts: EnvoyFacts): readonly Finding[] {
  const found = facts.files.get(named.path);
  if (found === undefined || found.kind === 'missing' || found.kind === 'unreadable')
    return unseenFile(named, found, facts);
  return [...writableFile(named, found), ...exposedKey(named, found)];
}

/** What follows if others write a file, by its use. Another key than that of the certificate is refused. */
const WRITTEN: Readonly<Record<Exclude<NamedPath['use'], 'key'>, readonly [Finding['code'], string]>> = {
  anchors: ['envoy.weak-tls', 'anybody who adds a CA there calls under any SPIFFE ID'],
  source: ['envoy.impostor', 'anybody who writes it removes the filter, or adds a route past it'],
  code: [
    'envoy.impostor',
    'anybody who writes it sees each token, and lets calls past the check or changes them after it',
  ],
};

function writableFile({ field, path, use }: NamedPath, { writable }: NamedFile): readonly Finding[] {
  if (writable === null || use === 'key') return [];
  const [code, effect] = WRITTEN[use];
  return [
    {
      code,
      where: `file/${path}`,
      message: `\`${field}\`: ${writable}: ${effect}`,
      fix: 'give the file, and each folder that leads to it, to root or the user of Envoy, and `chmod go-w`',
    },
  ];
}

/** A key by itself, and a file with a key in it, such as a secret that arrives from a file. */
const exposedKey = ({ field, path, use }: NamedPath, { exposed, hasKey, kind }: NamedFile): readonly Finding[] =>
  exposed === null || kind === 'folder' || !(use === 'key' || hasKey)
    ? []
    : [leakedKey(path, `\`${field}\`: ${exposed}`)];

/** A bootstrap with a private key in it, which no path names. Of a running Envoy every file is named, by this configuration or the next. */
const inlineKeys = (paths: readonly NamedPath[], { files, live }: EnvoyFacts): readonly Finding[] =>
  [...(live === null ? files : [])].flatMap(([path, { exposed, hasKey }]) =>
    exposed === null || !hasKey || paths.some((named) => named.path === path)
      ? []
      : [leakedKey(path, `it has a private key, and ${exposed}`)],
  );

const leakedKey = (path: string, why: string): Finding => ({
  code: 'envoy.leak',
  where: `file/${path}`,
  message: `${why}: anyone who has this key can pose as this Envoy`,
  fix: 'give the file to the user of Envoy, `chmod o-rwx`, and make a new key: this key may be known',
});

/** A file of configuration that is not here hides listeners and clusters of a bootstrap; a running Envoy shows those that it has. */
function unseenFile(
  { field, path, use }: NamedPath,
  found: NamedFile | undefined,
  { live }: EnvoyFacts,
): readonly Finding[] {
  // A key that is not here, or that this user cannot look at, is not one that everybody can read here.
  if (use === 'key') return [];
  const isHidden = use === 'source' && live === null;
  return [
    {
      code: 'envoy.unseen',
      where: `file/${path}`,
      level: isHidden ? 'warning' : 'info',
      message: `\`${field}\` cannot be looked at from here (${found?.kind === 'unreadable' ? 'it cannot be read' : 'it is not on this machine'}), so nothing says who can write it${
        isHidden ? ', nor which listeners, clusters or routes are in it' : ''
      }`,
      fix: isHidden
        ? 'put the file at that path, or beside the bootstrap, or examine the running Envoy with --envoy'
        : 'run this on the machine of Envoy, as a user who can read it',
    },
  ];
}

const anchorsIn = (fields: unknown): readonly string[] =>
  pathsIn(fields).flatMap(({ path, use }) => (use === 'anchors' ? [path] : []));

/** CAs of several trust domains in one file. Several CAs of one domain are usual while its CA is renewed. */
function severalCas(context: unknown, { files }: EnvoyFacts, where: string): readonly Finding[] {
  const path = textAt(context, 'trusted_ca', 'filename');
  const issuers = new Set((files.get(path)?.cas ?? []).map(issuerOf));
  return issuers.size < 2
    ? []
    : [
        {
          code: 'envoy.weak-tls',
          where,
          level: 'warning',
          message: `\`trusted_ca\`: \`${path}\` has CAs of ${issuers.size} trust domains: each can issue the identities of the others`,
          fix: 'use the SPIFFE validator with a bundle for each trust domain, as deploy/envoy/envoy.yaml does',
        },
      ];
}

const issuerOf = ({ domain, key }: TrustedCa): string => domain ?? key;

/** CAs by which a chain verifies callers, but which are not in the bundle of Remit. */
export function foreignCas(facts: EnvoyFacts, own: readonly TrustedCa[] | null): readonly Finding[] | null {
  const guarded = guardedOf(facts);
  if (guarded.length === 0 || own === null || own.length === 0) return null;
  const known = new Set(own.map(({ key }) => key));
  // A domain that Remit does not verify itself may be federated: its CA is then in another bundle.
  const domains = new Set(own.map(({ domain }) => domain));
  return guarded.flatMap(({ chain: { fields, where } }) =>
    anchorsIn(fields).flatMap((path): readonly Finding[] =>
      (facts.files.get(path)?.cas ?? []).some(
        ({ domain, key }) => !known.has(key) && (domain === null || domains.has(domain)),
      )
        ? [
            {
              code: 'envoy.weak-tls',
              where,
              level: 'warning',
              message: `\`${path}\` has a CA that the bundle of Remit (\`svid.bundle\`) does not have: its holder issues identities that Remit takes for those of its own trust domain`,
              fix: 'write the bundle of the trust domain there, as its own file; after a CA was renewed, write both anew',
            },
          ]
        : [],
    ),
  );
}
