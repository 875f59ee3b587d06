import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { Config } from '../../../src/core/config/config.ts';
import { addressText } from '../../../src/core/config/values.ts';
import { mustConfig } from '../../builders/config.ts';

const deploy = resolve(import.meta.dirname, '../../../deploy');
const page = readFileSync(resolve(deploy, 'guide/install/processes.md'), 'utf8');
const unit = readFileSync(resolve(deploy, 'systemd/system/remit@.service'), 'utf8');
const envoy = JSON.stringify(parse(readFileSync(resolve(deploy, 'envoy/envoy-processes.yaml'), 'utf8')));

const [authorityYaml = '', sidecarYaml = ''] = [...page.matchAll(/```yaml\n([^]*?)```/g)].map(([, yaml]) => yaml ?? '');
const authority = mustConfig(authorityYaml);

/** The configuration of a sidecar, with the variables of its unit and of the page. */
function sidecarOf(instance: string): Config {
  const variables = [...`${unit}${page}`.matchAll(/^Environment=(\w+)=(\S+)$/gm)].map(([, name = '', value = '']) => [
    name,
    value.replaceAll('%i', instance),
  ]);
  return mustConfig(sidecarYaml, { environment: Object.fromEntries(variables) });
}

describe('deploy/guide/install/processes.md', () => {
  const sidecars = ['1', '2'].map(sidecarOf);
  const all = [authority, ...sidecars];

  it('has an authority, and sidecars on its socket', () => {
    const [socket] = authority.authority.listen;
    expect(authority).toMatchObject({
      state: { kind: 'sqlite' },
      authority: { socketMode: '0600', socketGroup: null },
    });
    for (const { state } of sidecars) expect(state).toEqual({ kind: 'authority', addresses: [socket] });
  });

  it('gives each process what must be its own', () => {
    const own = all.flatMap(({ extAuthz, admin, ledger }) => [
      ...[...extAuthz.listen, admin.listen].map(addressText),
      ledger.folder,
      ledger.name,
      ledger.keyFile,
      ledger.checkpointFile,
    ]);
    expect(new Set(own).size).toBe(6 * all.length);
  });

  it('has the sockets and ledgers named in the Envoy configuration', () => {
    for (const { extAuthz, ledger } of sidecars) {
      for (const { path } of extAuthz.listen.filter((address) => address.kind === 'unix')) {
        expect(envoy).toContain(`"pipe":{"path":"${path}"}`);
      }
      expect(envoy).toContain(`"string_match":{"exact":"${ledger.name}"}`);
    }
  });
});
