import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import type { Config } from '../../src/core/config/config.ts';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { Closers, startedOrClosed } from '../../src/serve/closers.ts';
import { startRemit } from '../../src/serve/remit.ts';
import { isStartProblem } from '../../src/serve/start-problem.ts';
import { baseSchema, exampleCatalog } from '../builders/policy-folder.ts';
import { mustConfig } from '../builders/config.ts';
import { drawn } from '../drawn.ts';
import { thoroughly } from '../thoroughly.ts';

describe('startedOrClosed', () => {
  it.each<[string, () => never | { readonly problem: string }, string]>([
    ['throws', () => raise('no disk'), 'the start failed: Error: no disk'],
    ['has a problem', () => ({ problem: 'the port is taken' }), 'the port is taken'],
  ])('closes every opened part, last first, if a part %s', async (_name, fail, problem) => {
    const closed: string[] = [];
    const log: string[] = [];
    const started = await startedOrClosed(
      (line) => log.push(line),
      async (closers) => {
        closers.push(() => closed.push('first'));
        closers.push(() => raise('stuck'));
        closers.push(async () => closed.push('third'));
        return fail();
      },
    );
    expect(started).toEqual({ problem });
    expect(closed).toEqual(['third', 'first']);
    expect(log).toEqual(['a part of the process could not be closed: Error: stuck']);
  });

  it('closes each part once', async () => {
    const closed: string[] = [];
    const closers = new Closers(() => undefined);
    closers.push(() => closed.push('one'));
    await closers.close();
    await closers.close();
    expect(closed).toEqual(['one']);
  });
});

function raise(message: string): never {
  throw new Error(message);
}

/** One small policy, since the set is loaded for each start. */
function smallPolicies(folder: string): string {
  mkdirSync(join(folder, 'policies'), { recursive: true });
  writeFileSync(join(folder, 'base.cedarschema'), baseSchema);
  writeFileSync(join(folder, 'actions.yaml'), exampleCatalog);
  writeFileSync(join(folder, 'policies', 'all.cedar'), '@id("all") permit (principal, action, resource);\n');
  return folder;
}

/** Of the points at which a part can throw, every fourth is tried, from another one in each run. */
const STRIDE = thoroughly(1, 4);

describe('startRemit', () => {
  const folder = mkdtempSync(join(tmpdir(), 'start-'));
  let config: Config;
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(async () => {
    const acme = await createAuthority('acme.test', systemPorts);
    const svid = await writeCredential(
      folder,
      'svid',
      await acme.svid('/remit', { dns: ['localhost'], ips: ['127.0.0.1'] }),
    );
    const settings = {
      trustDomains: ['acme.test'],
      extAuthz: { listen: `unix:${join(folder, 'check.sock')}` },
      svid: { ...svid, bundle: await writeBundle(folder, 'bundle', acme) },
      issuer: {
        listen: '127.0.0.1:0',
        url: 'https://issuer.acme.test',
        signingKey: 'signing-keys',
        transactionKey: 'transaction-key.pem',
      },
      admin: { listen: '127.0.0.1:0' },
      policies: smallPolicies(join(folder, 'policies')),
      state: 'sqlite:state.db',
    };
    config = mustConfig(stringify(settings), { folder });
  });

  /** Starts with a configuration whose random bytes or log throw at use number `broken`. All parts use one of them. */
  async function start(broken: number) {
    let uses = 0;
    const used = (): void => {
      uses += 1;
      if (uses === broken) raise('broken');
    };
    const over = <A extends unknown[], R>(of: (...args: A) => R) => {
      return (...args: A): R => {
        used();
        return of(...args);
      };
    };
    const watched = new Proxy(config, {
      get: (target, name, receiver) => {
        used();
        return Reflect.get(target, name, receiver);
      },
    });
    const started = await startRemit(watched, {
      ports: { ...systemPorts, randomBytes: over(systemPorts.randomBytes) },
      environment: {},
      log: over(() => undefined),
      onFatal: raise,
    });
    return { started, uses };
  }

  /** Files in the folder that this process has open, according to the system. */
  const openFiles = (): readonly string[] =>
    readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        const file = readlinkSync(`/proc/self/fd/${fd}`);
        return file.startsWith(folder) ? [file] : [];
      } catch {
        return [];
      }
    });

  it('refuses a claim for a subject attribute that the catalog does not declare', async () => {
    const { issuer } = config;
    if (issuer === null) throw new Error('no issuer');
    const file = join(folder, 'idp.json');
    writeFileSync(file, '{"keys":[]}');
    const idp = {
      kind: 'access-token',
      issuer: 'https://idp.acme.test',
      jwks: file,
      algorithms: ['ES256'],
      audience: null,
      scope: 'ignored',
      attributes: new Map([['group', 'groups']]),
    } as const;
    const started = await startRemit(
      { ...config, issuer: { ...issuer, subjectIssuers: [idp] } },
      { ports: systemPorts, environment: {}, log: () => undefined, onFatal: raise },
    );
    if (!isStartProblem(started)) await started.close();
    expect(started).toEqual({
      problem:
        '`issuer.subjectIssuers` maps a claim to the attribute `group`, which `subjectAttributes` of actions.yaml does not declare: it declares groups, tenant',
    });
  });

  it('leaves nothing open, wherever a start throws', async () => {
    const { started, uses } = await start(0);
    if (isStartProblem(started)) throw new Error(started.problem);
    await started.close();
    const { seed, random } = drawn();
    const left: unknown[] = [];
    for (let broken = random.whole(1, STRIDE); broken <= uses; broken += STRIDE) {
      const one = await start(broken);
      if (!isStartProblem(one.started)) await one.started.close();
      if (openFiles().length > 0 || readdirSync(folder).includes('check.sock')) left.push([broken, openFiles()]);
    }
    expect({ seed, left }).toEqual({ seed, left: [] });
    const again = await start(0);
    if (isStartProblem(again.started)) throw new Error(again.started.problem);
    await again.started.close();
  });
});
