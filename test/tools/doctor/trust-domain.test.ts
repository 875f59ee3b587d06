import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { testFolders } from '../../builders/test-folders.ts';
import { examples } from '../../e2e/domain.ts';
import { diagnosed } from './diagnosed.ts';

const shipped = resolve(import.meta.dirname, '../../../deploy');
const folder = testFolders();

/** A Remit that accepts these trust domains. */
function configOf(at: string, trustDomains: readonly string[]): string {
  const config = join(at, 'remit.yaml');
  const svid = { workloadApi: `unix://${join(at, 'agent.sock')}` };
  writeFileSync(
    config,
    stringify({ trustDomains, svid, extAuthz: { listen: '127.0.0.1:9470' }, policies: { folder: examples } }),
  );
  return config;
}

/** What is found about trust domains: level and code. */
async function found(file: string, config: string): Promise<readonly string[]> {
  const { findings } = await diagnosed(['-f', file, '--config', config, '--json']);
  return findings.flatMap(({ code, level }) => (code.endsWith('.other-domain') ? [`${level} ${code}`] : []));
}

// Issue 39, point 3: `cluster.local` beside `acme.test` refuses every call, and nothing said so.
describe('remit doctor, of trust domains in a mesh', () => {
  it.each([
    ['the same one', 'acme.test', ['acme.test'], []],
    ['another one', 'mesh.test', ['acme.test'], ['error istio.other-domain']],
    ['the default of istiod', '', ['acme.test'], ['error istio.other-domain']],
    ['one of two', 'acme.test', ['acme.test', 'spire.test'], ['warning istio.other-domain']],
    ['the default, which Remit accepts', '', ['cluster.local'], []],
  ])('compares the mesh configuration with Remit: %s', async (_what, mesh, own, expected) => {
    const copy = folder();
    cpSync(join(shipped, 'hosts/istio'), copy, { recursive: true });
    const file = join(copy, 'mesh.yaml');
    const text = readFileSync(file, 'utf8').replace(/^trustDomain: .*\n/m, '');
    writeFileSync(file, mesh === '' ? text : `trustDomain: ${mesh}\n${text}`);
    expect(await found(file, configOf(folder(), own))).toEqual(expected);
  });

  it.each([
    ['the own one', 'spiffe://acme.test/', []],
    ['another one', 'spiffe://cluster.local/', ['error envoy.other-domain']],
    ['another one too', 'spiffe://acme.test/ spiffe://cluster.local/', ['warning envoy.other-domain']],
    ['IDs and not domains', 'spiffe://cluster.local/ns/agents/', []],
  ])('compares the names that Envoy accepts with Remit: %s', async (_what, prefixes, expected) => {
    const at = folder();
    const file = join(at, 'envoy.yaml');
    const matchers = prefixes.split(' ').map((prefix) => `{ prefix: '${prefix}' }`);
    const text = readFileSync(join(shipped, 'envoy/envoy.yaml'), 'utf8').replace(
      /^( +)validation_context:\n/m,
      (line, indent: string) => `${line}${indent}  match_subject_alt_names: [${matchers.join(', ')}]\n`,
    );
    expect(text).toContain('match_subject_alt_names');
    writeFileSync(file, text);
    expect(await found(file, configOf(at, ['acme.test']))).toEqual(expected);
  });
});
