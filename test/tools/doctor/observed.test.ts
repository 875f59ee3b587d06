import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { scratchFolder } from '../../e2e/domain.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { answersFrom, QUESTIONS, withDefault } from '../../../src/tools/init/answers.ts';
import type { Given, Host } from '../../../src/tools/init/answers.ts';
import { folderFiles } from '../../../src/tools/init/folder-files.ts';
import { diagnosed } from './diagnosed.ts';
import type { FoundFinding } from './diagnosed.ts';
import type { Yaml } from './fault-parts.ts';

/** Gives the tools another host, which the catalog lacks. */
const serveOther = (chain: Yaml, name = 'other.acme.test'): void => {
  for (const host of chain.filters[0].typed_config.route_config.virtual_hosts)
    if (host.name === 'tools') host.domains = [name];
};

/** Issue 41, point 3: what lets calls pass is a warning while all are observed, and an error as soon as one is enforced. */
describe('remit doctor about a listener whose calls are observed', () => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  const at = (name: string): string => join(scratch.folder, name);

  beforeEach(async () => {
    scratch = await scratchFolder('remit-doctor-observed-');
  });
  afterEach(() => scratch?.remove());

  const writeFolder = async (host: Host): Promise<void> => {
    const given = QUESTIONS.reduce<Given>(withDefault, { host, 'trust-domain': 'acme.test' });
    const answers = answersFrom(scratch.folder, given);
    if ('problems' in answers) throw new Error(answers.problems.join('; '));
    const files = await folderFiles(answers, { owner: 'team-payments', nowMs: systemPorts.nowMs() });
    for (const [name, text] of files) {
      await mkdir(dirname(at(name)), { recursive: true });
      await writeFile(at(name), text);
    }
  };

  /** Findings about the host, not about a Remit that does not run. */
  const found = async (path: string): Promise<readonly FoundFinding[]> =>
    (await diagnosed(['--json', '-f', at(path), '--config', at('remit.yaml')])).findings.filter(({ code }) =>
      /^(?:envoy|istio)\./.test(code),
    );

  const errors = async (path: string): Promise<readonly string[]> =>
    (await found(path)).flatMap(({ code, level, message }) => (level === 'error' ? [`${code}: ${message}`] : []));

  const changeEntries = async (change: (text: string) => string): Promise<void> => {
    const file = at('policies/enforcement.yaml');
    await writeFile(file, change(await readFile(file, 'utf8')));
  };

  it('has warnings and no error while all is observed, with the end', async () => {
    await writeFolder('envoy');
    expect(await errors('envoy.yaml')).toEqual([]);
    const open = (await found('envoy.yaml')).find(({ code }) => code === 'envoy.fails-open');
    expect(open).toMatchObject({
      level: 'warning',
      message: expect.stringMatching(/; all calls here are observed, the first until \d{4}-\d\d-\d\d$/),
      fix: expect.stringMatching(/^before any of them is enforced: /),
    });
  });

  it('has an error that names what is enforced, once an entry covers a part alone', async () => {
    await writeFolder('envoy');
    await changeEntries((text) => text.replace('acme.test/*', 'acme.test/ns/legacy/*'));
    expect(await errors('envoy.yaml')).toContainEqual(
      expect.stringMatching(/^envoy\.fails-open: .*; enforced are agents of `acme\.test` at `tools`$/),
    );
  });

  it('has an error for a listener that was forgotten when the entries ended', async () => {
    await writeFolder('envoy');
    await rm(at('policies/enforcement.yaml'));
    expect(await errors('envoy.yaml')).toContainEqual(expect.stringMatching(/^envoy\.fails-open: /));
    expect(await errors('enforcing/envoy.yaml')).toEqual([]);
  });

  const changeEnvoy = async (change: (listener: Yaml) => void): Promise<void> => {
    const config = parse(await readFile(at('envoy.yaml'), 'utf8'));
    change(config.static_resources.listeners[0]);
    await writeFile(at('envoy.yaml'), stringify(config, { aliasDuplicateObjects: false }));
  };

  /** Places of the first listener that let calls pass while Remit is away, errors first. */
  const openAt = async (): Promise<readonly string[]> =>
    (await found('envoy.yaml'))
      .filter(({ code }) => code === 'envoy.fails-open')
      .map(({ level, where }) => `${level} ${where.slice(where.lastIndexOf(': ') + 2)}`)
      .filter((line) => /listener\/agents(?:$|\/)/.test(line));

  it.each<[string, string, string, string]>([
    ['none', 'other.acme.test', 'error', ''],
    ['another', 'other.acme.test', 'error', ', another.acme.test'],
    ['its own', 'other.acme.test', 'warning', ', other.acme.test'],
    ['one above it', 'a.old.test', 'warning', ", '*.old.test'"],
    ['one above its pattern', '*.a.old.test', 'warning', ", '*.old.test'"],
    ['one that ends like it', 'gold.test', 'error', ", '*.old.test'"],
  ])('judges a listener with no host of the catalog by the hosts of entries: %s', async (_what, host, level, more) => {
    await writeFolder('envoy');
    await changeEntries((text) => text.replaceAll('servers: [tools]', `servers: [tools${more}]`));
    await changeEnvoy(({ filter_chains: [chain] }) => serveOther(chain, host));
    expect(await openAt()).toEqual([`${level} listener/agents`]);
    // The policies were read.
    expect((await found('envoy.yaml')).map(({ code }) => code)).toContain('envoy.host-unserved');
  });

  it('judges each filter chain by its own hosts', async () => {
    await writeFolder('envoy');
    await changeEnvoy(({ filter_chains: chains }) => {
      const second = structuredClone(chains[0]);
      second.filter_chain_match = { server_names: ['other.acme.test'] };
      serveOther(second);
      chains.push(second);
    });
    expect(await openAt()).toEqual(['error listener/agents/chain/1', 'warning listener/agents']);
  });

  it('judges the files of Istio and Envoy Gateway in the same way', async () => {
    await writeFolder('istio');
    expect((await errors('istio')).filter((line) => /fails-open|partial-body/.test(line))).toEqual([]);
    await rm(at('policies/enforcement.yaml'));
    expect(await errors('istio')).toContainEqual(expect.stringMatching(/^istio\.fails-open: /));
  });
});
