import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { Config } from '../../src/config/config.ts';
import { addressText } from '../../src/config/values.ts';
import { mustConfig } from '../builders/config.ts';

const deploy = resolve(import.meta.dirname, '../../deploy');
const page = readFileSync(resolve(deploy, 'guide/install/processes.md'), 'utf8');
const envoy = JSON.stringify(parse(readFileSync(resolve(deploy, 'envoy/envoy-processes.yaml'), 'utf8')));

/** The configuration of an instance on the page. */
function configOf(instance: string): Config {
  const yaml = /```yaml\n([^]*?)```/.exec(page)?.[1] ?? '';
  const variables = [...page.matchAll(/^Environment=(\w+)=(\S+)$/gm)].map(([, name = '', value = '']) => [
    name,
    value.replaceAll('%i', instance),
  ]);
  return mustConfig(yaml, { environment: Object.fromEntries(variables) });
}

describe('deploy/guide/install/processes.md', () => {
  const configs = ['1', '2'].map(configOf);

  it('has configurations that share the state file, and nothing that must be separate', () => {
    expect(configs.map(({ state, stateAccess }) => [state, stateAccess])).toEqual([
      [{ kind: 'sqlite', path: '/var/lib/remit/state.db' }, 'shared'],
      [{ kind: 'sqlite', path: '/var/lib/remit/state.db' }, 'shared'],
    ]);
    const own = configs.flatMap(({ extAuthz, admin, issuer, ledger }) => [
      ...[...extAuthz.listen, admin.listen, ...(issuer === null ? [] : [issuer.listen])].map(addressText),
      ledger.folder,
      ledger.name,
      ledger.checkpointFile,
    ]);
    expect(new Set(own).size).toBe(12);
  });

  it('lets each read the ledgers of the others, with the same key', () => {
    expect(configs.map(({ ledger }) => [ledger.folder, ledger.others])).toEqual([
      ['/var/lib/remit/ledger-1', ['/var/lib/remit/ledger-2']],
      ['/var/lib/remit/ledger-2', ['/var/lib/remit/ledger-1']],
    ]);
  });

  it('has the sockets and ledgers named in the Envoy configuration', () => {
    for (const { extAuthz, ledger } of configs) {
      for (const { path } of extAuthz.listen.filter((address) => address.kind === 'unix')) {
        expect(envoy).toContain(`"pipe":{"path":"${path}"}`);
      }
      expect(envoy).toContain(`"string_match":{"exact":"${ledger.name}"}`);
    }
  });
});
