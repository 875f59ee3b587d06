import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { signedBundle } from '../../src/core/policy/bundle/bundle.ts';
import { readPolicySource } from '../../src/core/policy/loading/source.ts';
import { keyPair } from '../core/policy/bundle/key-pair.ts';

const DAY_MS = 86_400_000;

type Keys = Readonly<Record<'first' | 'second', Awaited<ReturnType<typeof keyPair>>>>;

/** Signs the folder `policies` of a folder as its `bundle.jws`. `bundle-keys.json` has the first key alone, `all-bundle-keys.json` both. */
export class BundlePublisher {
  readonly #folder: string;
  readonly #keys: Keys;

  private constructor(folder: string, keys: Keys) {
    this.#folder = folder;
    this.#keys = keys;
  }

  static async create(folder: string): Promise<BundlePublisher> {
    const keys = { first: await keyPair(), second: await keyPair() };
    const jwks = [keys.first.key.jwk, keys.second.key.jwk];
    await writeFile(join(folder, 'bundle-keys.json'), JSON.stringify({ keys: jwks.slice(0, 1) }), { mode: 0o600 });
    await writeFile(join(folder, 'all-bundle-keys.json'), JSON.stringify({ keys: jwks }), { mode: 0o600 });
    return new BundlePublisher(folder, keys);
  }

  async publish(serial: number, by: 'first' | 'second' = 'first'): Promise<void> {
    const source = await readPolicySource(join(this.#folder, 'policies'));
    if (!('catalogs' in source)) throw new Error('the policies cannot be read');
    const head = {
      name: 'prod',
      version: `v${serial}`,
      serial,
      issuedAtMs: Date.now(),
      expiresAtMs: Date.now() + DAY_MS,
    };
    const fresh = join(this.#folder, 'bundle.new');
    await writeFile(fresh, await signedBundle(source, head, this.#keys[by].key), { mode: 0o600 });
    await rename(fresh, join(this.#folder, 'bundle.jws'));
  }
}
