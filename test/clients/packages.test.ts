import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { builtClients } from '../parts/built-clients.ts';
import { goClients } from '../parts/go-client.ts';
import { clientFolder, clientPackages, type ClientName } from '../parts/clients.ts';
import { clientPart, describeWith } from '../parts.ts';

const names = Object.keys(clientPackages) as ClientName[];

/** Name and version of a pinned package, without extras. */
const pin = /^(@?[^@=[]+)(?:\[[^\]]+\])?(?:==|@)(\d+\.\d+\.\d+)$/;

describe('the packages of clients', () => {
  it('are pinned, and in a folder of their own for each set of versions', () => {
    const packages = names.flatMap((name) => clientPackages[name].packages);
    expect(packages.filter((one) => !pin.test(one))).toEqual([]);
    expect(new Set(names.map(clientFolder)).size).toBe(names.length);
  });
});

it('the page of clients has the versions that are tried', () => {
  const page = readFileSync(resolve(import.meta.dirname, '../../deploy/guide/reference/clients.md'), 'utf8');
  const missing = names
    .flatMap((name) => clientPackages[name].packages)
    .map((one) => one.replace(pin, '$1 $2'))
    .concat(Object.values({ ...goClients, ...builtClients }).map(({ called, version }) => `${called} ${version}`))
    .filter((one) => !page.includes(one));
  expect(missing).toEqual([]);
});

describe.each(names)('the client %s', (name) => {
  describeWith(clientPart(name), 'installed', (folder) => {
    it.each(clientPackages[name].packages)('has %s', (wanted) => {
      const [, called = '', version = ''] = pin.exec(wanted) ?? [];
      if (clientPackages[name].registry === 'npm') {
        const manifest = join(folder, 'node_modules', called, 'package.json');
        expect(JSON.parse(readFileSync(manifest, 'utf8')).version).toBe(version);
        return;
      }
      const info = `${called.toLowerCase().replaceAll('-', '_')}-${version}.dist-info`;
      expect([info, existsSync(join(folder, info))]).toEqual([info, true]);
    });
  });
});
