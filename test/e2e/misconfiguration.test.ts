import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { createAuthority, writeBundle } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { es256Key, jwksOf } from '../builders/tokens.ts';
import { testFolders } from '../builders/test-folders.ts';
import { killedAfterEach } from './killed.ts';
import { soundSettings, soundSvid } from './sound-settings.ts';
import { until } from '../until.ts';
import { callPayments, mustDeclare, scratchFolder, startDomain } from './domain.ts';
import { remit } from './process.ts';
import type { Running } from './process.ts';

// Processes start here, which is slow on a loaded machine.

const page = readFileSync(resolve(import.meta.dirname, '../../deploy/guide/fix/misconfigurations.md'), 'utf8');
const rows = new Map(
  [...page.matchAll(/^\| (.+?) \| (.+?) \| `(.+)` \|$/gm)].map(([, name = '', then = '', line = '']) => [
    name,
    { isRefused: then.includes('refused, exit 2'), line },
  ]),
);

/** Matches the line on the page for a mistake, which has no backticks there. */
function lineOf(name: string): RegExp {
  const row = rows.get(name);
  if (row === undefined) throw new Error(`the page has no row \`${name}\``);
  const parts = row.line.split('…').map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(parts.join('[^\\n]+'));
}

const plain = (said: string): string => said.replaceAll('`', '');

/** A mistake: what is wrong with configuration and environment, and what happens afterwards. */
interface Mistake {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly isRefused: boolean;
  readonly afterwards?: (started: Running, folder: string) => Promise<void>;
}

const IDP = 'https://idp.acme.test';

// Issue 15, point 3.
const mistakes: readonly (readonly [string, Mistake])[] = [
  ['`trustDomains` without that of the own SVID', { config: { trustDomains: ['other.test'] }, isRefused: true }],
  [
    'a bundle that does not verify the own SVID',
    {
      config: { svid: { certificate: 'remit.pem', key: 'remit.key', bundle: 'stranger.pem' } },
      isRefused: false,
    },
  ],
  [
    'an issuer URL whose host the SVID lacks',
    { config: { issuer: { url: 'https://tokens.acme.test', listen: '127.0.0.1:0' } }, isRefused: false },
  ],
  ['an unknown variable', { environment: { REMIT_EXTAUTHZ_LISTEN: 'unix:/x' }, isRefused: true }],
  [
    'a variable for a section that the file lacks',
    { environment: { REMIT_ISSUER_LISTEN: '127.0.0.1:0' }, isRefused: true },
  ],
  ...(
    [
      ['a signal that attests but carries no values', IDP, { 'session-revoked': 'attest' }],
      ['a transmitter with a SPIFFE ID as its issuer', 'spiffe://acme.test/idp', {}],
    ] as const
  ).map(([name, issuer, effects]): readonly [string, Mistake] => [
    name,
    {
      config: {
        issuer: {
          url: 'https://remit.acme.test',
          listen: '127.0.0.1:0',
          signals: { transmitters: [{ issuer, jwks: 'idp.json' }], effects },
        },
      },
      isRefused: true,
    },
  ]),
  [
    'an emptied policy folder',
    {
      isRefused: false,
      afterwards: async (started, folder) => {
        await started.said('checks on');
        await rm(join(folder, 'policies/policies'), { recursive: true });
        started.child.kill('SIGHUP');
      },
    },
  ],
];

describe('a mistake in the configuration of remit serve', () => {
  const folders = testFolders();
  let folder = '';
  let sound: Readonly<Record<string, unknown>>;
  const killed = killedAfterEach();

  beforeEach(async () => {
    folder = folders();
    await writeFile(join(folder, 'idp.json'), JSON.stringify(jwksOf(es256Key('idp-1'))));
    await writeBundle(folder, 'stranger', await createAuthority('acme.test', systemPorts));
    sound = { ...(await soundSettings(folder)), svid: await soundSvid(folder, 'remit.acme.test') };
  });

  const started = async ({ config = {}, environment = {} }: Partial<Mistake>): Promise<Running> => {
    const file = join(folder, 'remit.yaml');
    await writeFile(file, stringify({ ...sound, ...config }));
    return killed(remit(['serve', '--config', file], environment));
  };

  it.each(mistakes)('%s is logged as on the page', async (name, mistake) => {
    const one = await started(mistake);
    await mistake.afterwards?.(one, folder);
    if (mistake.isRefused) expect(await one.exit).toBe(2);
    else await until(() => lineOf(name).test(plain(one.err())), { what: name, withinMs: 60_000 });
    expect(plain(one.err())).toMatch(lineOf(name));
    expect(rows.get(name)?.isRefused).toBe(mistake.isRefused);
  });

  it('is not logged if there is none, whatever variables Kubernetes sets', async () => {
    const issuer = { url: 'https://remit.acme.test', listen: '127.0.0.1:0' };
    const environment = { REMIT_SERVICE_HOST: '10.0.0.1', REMIT_PORT_9472_TCP_ADDR: '10.0.0.1', REMIT_TOKEN: 'x' };
    const one = await started({ config: { issuer }, environment });
    await one.said('checks on');
    for (const name of rows.keys()) expect(plain(one.err())).not.toMatch(lineOf(name));
    expect([...rows.keys()]).toEqual([...mistakes.map(([name]) => name), 'Envoy sends no peer certificate']);
  });
});

describeWith(envoyPart(), 'an Envoy that sends no peer certificate', (envoy) => {
  it('is logged as on the page, and revokes no token', async () => {
    const { folder, remove } = await scratchFolder('remit-no-certificate-');
    const said: string[] = [];
    const domain = await startDomain(envoy, {
      folder,
      log: (line) => said.push(line),
      envoyConfig: (shipped) => shipped.replace('include_peer_certificate: true', 'include_peer_certificate: false'),
    });
    try {
      const { planner } = domain.stage;
      const { token, taskId } = await mustDeclare(planner, domain);
      for (let call = 0; call < 3; call += 1) {
        expect(await callPayments(planner, domain, { token })).toEqual([403, 'identity.missing']);
      }
      const warnings = said.filter((line) => lineOf('Envoy sends no peer certificate').test(plain(line)));
      expect(warnings).toHaveLength(1);
      await domain.remit.flush();
      const records = await domain.remit.recordsOf(taskId, 100);
      expect(
        JSON.stringify(Array.isArray(records) ? records.map(({ bytes }) => String(Buffer.from(bytes))) : []),
      ).not.toContain('binding-violation');
    } finally {
      await domain.stop();
      await remove();
    }
  });
});
