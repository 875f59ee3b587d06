import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { parse, parseAllDocuments } from 'yaml';
import { intentFileFrom } from '../../../src/agent/task/intent.ts';
import type { Command, CommandIo } from '../../../src/cli/command.ts';
import { init } from '../../../src/cli/init.ts';
import { policyFmt } from '../../../src/cli/policy/policy-fmt.ts';
import { policyLint } from '../../../src/cli/policy/policy-lint.ts';
import { policySchema } from '../../../src/cli/policy/policy-schema.ts';
import { policyTest } from '../../../src/cli/policy/policy-test.ts';
import { configFrom, configProblemText } from '../../../src/core/config/config.ts';
import { HOSTS } from '../../../src/tools/init/answers.ts';
import { commandRun } from '../../builders/command-run.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustTemplate, objectsOf } from '../../chart/chart.ts';
import { fillDisk } from '../../full-disk.ts';
import { describeWith, envoyPart, helmPart } from '../../parts.ts';
import type { Part } from '../../parts.ts';

const folder = testFolders();

const DOMAIN = ['--trust-domain', 'acme.test'];

let count = 0;
const fresh = (): string => join(folder(), `made-${(count += 1)}`);

async function made(args: readonly string[], at = fresh(), more: Partial<CommandIo> = {}) {
  const { code, out, err } = await commandRun(init.run, [at, ...args], more);
  return { code, out, err: err.join('\n'), at, textOf: (name: string) => readFileSync(join(at, name), 'utf8') };
}

const answerOf = (run: Command['run'], ...args: readonly string[]) => commandRun(run, args);

/** A terminal that is closed. */
const ask = async (): Promise<null> => null;

/** The hosts whose files have the address of the tool server, beside a plain Envoy. */
const ADDRESSED: ReadonlySet<string> = new Set(['envoy-gateway', 'agentgateway']);

const socketOf = (text: string): unknown => parse(text).svid.workloadApi;

const problemsOf = (at: string, text: string): readonly string[] => {
  const read = configFrom(text, { file: join(at, 'remit.yaml'), folder: at, environment: {} });
  return 'problems' in read ? read.problems.map(configProblemText) : [];
};

describe('remit init', () => {
  it('writes a valid configuration, intent and scripts, and names what comes next', async () => {
    const { code, out, err, at, textOf } = await made([...DOMAIN, '--yes']);
    expect(code).toBe(0);
    expect(out.map((line) => line.replace(/^.*made-\d+\//, ''))).toEqual([
      'remit.yaml',
      'envoy.yaml',
      'first-call.sh',
      'intent.yaml',
      'intent.schema.json',
      'register.sh',
      'policies/actions.yaml',
      'policies/base.cedarschema',
      'policies/entities.cedarentities.json',
      'policies/tools.cedar',
      'policies/tests/tools.test.yaml',
      'policies/remit.cedarschema',
      'policies/.vscode/settings.json',
    ]);
    expect(problemsOf(at, textOf('remit.yaml'))).toEqual([]);
    expect(intentFileFrom(textOf('intent.yaml'), 'intent.yaml')).not.toHaveProperty('findings');
    const [, schema = ''] = /^# yaml-language-server: \$schema=(\S+)$/m.exec(textOf('intent.yaml')) ?? [];
    expect(new Ajv().validate(JSON.parse(textOf(schema)) as object, parse(textOf('intent.yaml')))).toBe(true);
    expect(err).toMatch(/next:\n {2}sh .*register\.sh\n {2}remit policy test /);
    expect(textOf('envoy.yaml')).not.toMatch(/\bpayments\b|\bfiles\.|\.\.\/guide/);
    for (const name of ['run', 'state']) expect(statSync(join(at, name)).mode & 0o777).toBe(0o700);
  });

  it.each(['envoy', 'istio'])('ends with the page about the way in if all is observed: %s', async (host) => {
    const { err } = await made([...DOMAIN, '--yes', '--host', host, '--observe', '--owner', 'us']);
    const page = /remit help (start\/[\w-]+)/.exec(err)?.[1] ?? '';
    expect(err.trimEnd().split('\n').at(-1)).toContain('deploy/guide/start/bring-it-in.md');
    expect(existsSync(join('deploy/guide', `${page}.md`))).toBe(true);
    expect((await made([...DOMAIN, '--yes', '--host', host])).err).not.toContain('bring-it-in');
  });

  it('writes policies that pass their tests with full coverage and no surviving mutant, formatted, without warnings', async () => {
    const { at } = await made([...DOMAIN, '--yes']);
    const policies = join(at, 'policies');
    const tested = await answerOf(policyTest, policies, '--threshold', '100', '--mutate');
    expect([tested.code, tested.out[0], tested.out.at(-1)]).toEqual([
      0,
      expect.stringMatching(/: \d+ passed, 0 failed, 0 skipped$/),
      expect.stringMatching(/ 0 survived, 0 accepted$/),
    ]);
    const linted = await answerOf(policyLint.run, policies);
    // The one note: what a limit should be is for its owner to say.
    expect(linted.out[0]).toMatch(/ no limit sums its `amount` over the tasks of an agent \[unlimited-amount\]$/);
    expect([linted.code, linted.out.at(-1)]).toEqual([0, expect.stringMatching(/: 0 errors, 0 warnings, 1 note$/)]);
    expect((await answerOf(policyFmt.run, policies, '--check')).code).toBe(0);
    expect((await answerOf(policySchema.run, policies, '--check')).code).toBe(0);
  });

  it.each([
    ['istio', { listen: '127.0.0.1:9470', binding: 'spiffe-id' }],
    [
      'istio-waypoint',
      {
        listen: '127.0.0.1:9470',
        identity: 'xfcc',
        proxyId: 'spiffe://own.test/ns/gateway/sa/envoy',
        binding: 'spiffe-id',
      },
    ],
    [
      'envoy-gateway',
      { listen: 'unix:/run/remit/check.sock', identity: 'xfcc', proxyId: 'spiffe://own.test/ns/gateway/sa/envoy' },
    ],
    ['agentgateway', { listen: '127.0.0.1:9470', certificateFrom: 'metadata' }],
    ['kgateway', { listen: '127.0.0.1:9470', identity: 'xfcc', proxyId: 'spiffe://own.test/ns/gateway/sa/envoy' }],
    ['consul', { listen: '127.0.0.1:9470' }],
  ])(
    'writes the shipped files of %s with the names given, and what Remit needs to know of it',
    async (host, extAuthz) => {
      const upstream = ADDRESSED.has(host) ? ['--upstream', '10.1.2.3:9000'] : [];
      const names = ['--trust-domain', 'own.test', '--tools', 'crm.own.test', ...upstream];
      const { code, at, err, textOf } = await made([...names, '--host', host, '--yes']);
      expect([code, problemsOf(at, textOf('remit.yaml'))]).toEqual([0, []]);
      const config = parse(textOf('remit.yaml'));
      expect(config.extAuthz).toEqual(extAuthz);
      expect(config).toMatchObject({
        svid: {
          workloadApi: 'unix:/spiffe-workload-api/spire-agent.sock',
          id: 'spiffe://own.test/ns/remit/sa/remit-authority',
        },
        issuer: { listen: '0.0.0.0:9472', url: 'https://remit-authority.remit.svc:9472' },
        state: 'sqlite:/var/lib/remit/state.db',
      });
      const shipped = join(import.meta.dirname, '../../../deploy/hosts', host);
      const files = readdirSync(shipped);
      expect(readdirSync(join(at, host))).toEqual(files);
      for (const name of files) {
        const [own, example] = [textOf(`${host}/${name}`), readFileSync(join(shipped, name), 'utf8')];
        expect(own).not.toMatch(/acme\.test|127\.0\.0\.1(?::|, port: )8081/);
        const documents = name.endsWith('.yaml') ? parseAllDocuments(own) : [];
        expect(documents.flatMap(({ errors }) => errors)).toEqual([]);
        expect(own.split('\n')).toHaveLength(example.split('\n').length);
      }
      const isWritten = files.some((name) => /10\.1\.2\.3(?::|, port: )9000/.test(textOf(`${host}/${name}`)));
      expect(isWritten).toBe(ADDRESSED.has(host));
      expect(textOf('register.sh')).toContain('-selector k8s:ns:agents \\\n    -selector k8s:sa:planner');
      expect(err).toContain(`see deploy/guide/install/hosts/${host}.md for ${at}/${host}`);
      expect(readdirSync(at)).not.toContain('first-call.sh');
    },
  );

  it('asks on a terminal for what no option says, again after a wrong answer, and takes defaults', async () => {
    const answers = ['isto', 'envoy', '', 'acme.test', ' ', 'crm.acme.test', ''];
    const asked: string[] = [];
    const answer = async (question: string): Promise<string | null> => {
      asked.push(question);
      return answers.shift() ?? null;
    };
    const { code, err, textOf } = await made([], fresh(), { ask: answer });
    expect([code, answers]).toEqual([0, []]);
    expect(asked).toEqual([
      'what asks Remit (envoy, istio, istio-waypoint, envoy-gateway, agentgateway, kgateway, consul) [envoy]: ',
      'what asks Remit (envoy, istio, istio-waypoint, envoy-gateway, agentgateway, kgateway, consul) [envoy]: ',
      'SPIFFE trust domain, such as acme.test: ',
      'SPIFFE trust domain, such as acme.test: ',
      'address of the tool server [127.0.0.1:8080]: ',
      'host name that agents call it by [tools.acme.test]: ',
      'SPIFFE ID of the first agent [spiffe://acme.test/agents/planner]: ',
    ]);
    expect(err).toContain('did you mean `istio`?');
    expect(textOf('policies/actions.yaml')).toContain('hosts: [crm.acme.test]');
  });

  it('does not ask for the address of the tool server if the files of the host have no place for it', async () => {
    const asked: string[] = [];
    const answer = async (question: string): Promise<string | null> => {
      asked.push(question);
      return '';
    };
    const { code } = await made([...DOMAIN, '--host', 'istio'], fresh(), { ask: answer });
    expect(code).toBe(0);
    expect(asked).toEqual([
      'host name that agents call it by [tools.acme.test]: ',
      'SPIFFE ID of the first agent [spiffe://acme.test/ns/agents/sa/planner]: ',
    ]);
  });

  it('writes nothing if the terminal is closed, and asks nothing with --yes', async () => {
    const ended = await made([], fresh(), { ask });
    expect([ended.code, ended.err]).toEqual([2, 'remit init: ended without an answer: nothing was written']);
    expect(readdirSync(folder())).not.toContain(ended.at.split('/').at(-1));
    expect((await made([...DOMAIN, '--yes'], fresh(), { ask })).code).toBe(0);
  });

  it('takes the socket of the agent from SPIFFE_ENDPOINT_SOCKET, or from its option', async () => {
    const environment = { SPIFFE_ENDPOINT_SOCKET: 'unix:///run/one.sock' };
    const one = await made([...DOMAIN, '--yes'], fresh(), { environment });
    const other = await made([...DOMAIN, '--yes', '--workload-api', 'unix:/run/other.sock'], fresh(), { environment });
    expect([socketOf(one.textOf('remit.yaml')), socketOf(other.textOf('remit.yaml'))]).toEqual([
      'unix:/run/one.sock',
      'unix:/run/other.sock',
    ]);
  });

  it('never overwrites without --force, and then replaces a link and not what it points to', async () => {
    const at = fresh();
    mkdirSync(at);
    const elsewhere = join(folder(), 'elsewhere');
    writeFileSync(elsewhere, 'mine');
    symlinkSync(elsewhere, join(at, 'intent.yaml'));
    const refused = await made([...DOMAIN, '--yes'], at);
    expect([refused.code, readdirSync(at)]).toEqual([2, ['intent.yaml']]);
    expect(refused.err).toMatch(/nothing was written: .* has `intent\.yaml`; --force replaces them$/);
    const forced = await made([...DOMAIN, '--yes', '--force'], at);
    expect([forced.code, forced.textOf('intent.yaml').split('\n')[0], readFileSync(elsewhere, 'utf8')]).toEqual([
      0,
      '# yaml-language-server: $schema=intent.schema.json',
      'mine',
    ]);
  });

  it.each<[string, readonly string[], string]>([
    ['no trust domain', [], '--trust-domain is required'],
    ['a trust domain in capitals', ['--trust-domain', 'Acme'], '--trust-domain `Acme`: a trust domain must be'],
    [
      'an agent elsewhere',
      [...DOMAIN, '--agent', 'spiffe://evil.test/a'],
      'must be an ID of the trust domain `acme.test`',
    ],
    ['an upstream without port', [...DOMAIN, '--upstream', '10.0.0.1'], '--upstream `10.0.0.1`: must be HOST:PORT'],
    [
      'an upstream elsewhere in clear',
      [...DOMAIN, '--upstream', '10.0.0.1:80'],
      'name the SPIFFE ID of the tool server',
    ],
    [
      'a listener by name',
      [...DOMAIN, '--listen', 'localhost:8443'],
      '--listen `localhost:8443`: must be an IP address',
    ],
    ['a host with a port', [...DOMAIN, '--tools', 'a.test:1'], '--tools `a.test:1`: must be a host name'],
    ['an issuer in clear', [...DOMAIN, '--issuer', 'http://a:1'], '--issuer `http://a:1`: must be https://HOST:PORT'],
    ['an agent over TCP', [...DOMAIN, '--workload-api', 'tcp://1.2.3.4:1'], 'must be a Unix socket'],
    ['a terminal escape', [...DOMAIN, '--tools', 'a\u001B[2Jb'], '--tools `a?[2Jb`: must be a host name'],
    ['a shell in a selector', [...DOMAIN, '--selector', 'unix:user:a\nrm'], '--selector `unix:user:a?rm`: must be'],
    [
      'what a mesh does not use',
      [...DOMAIN, '--host', 'istio', '--tool', 'spiffe://acme.test/a'],
      'goes with --host envoy alone',
    ],
    ...['istio', 'istio-waypoint', 'kgateway', 'consul'].map((host): [string, readonly string[], string] => [
      `the address of a tool server for ${host}, whose files have none`,
      [...DOMAIN, '--host', host, '--upstream', '10.0.0.1:80'],
      '--upstream `10.0.0.1:80`: goes with --host envoy, envoy-gateway, agentgateway alone',
    ]),
    ...['crm.internal:8443', '[::1]:8080'].map((upstream): [string, readonly string[], string] => [
      `the tool server ${upstream} for a gateway`,
      [...DOMAIN, '--host', 'envoy-gateway', '--upstream', upstream],
      `--upstream \`${upstream}\`: must be an IPv4 address and a port`,
    ]),
    ['an unknown option', [...DOMAIN, '--hosts', 'x'], "Unknown option '--hosts'"],
  ])('refuses %s and writes nothing', async (_name, args, message) => {
    const { code, err, at } = await made([...args, '--yes']);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
    expect(readdirSync(folder())).not.toContain(at.split('/').at(-1));
  });

  it('refuses a folder whose sockets would have too long a path, and a file in its place', async () => {
    const long = await made([...DOMAIN, '--yes'], join(folder(), 'a'.repeat(100)));
    expect([long.code, long.err]).toEqual([2, expect.stringContaining('a socket has at most 107 bytes')]);
    const file = join(folder(), 'a-file');
    writeFileSync(file, '');
    const below = await made([...DOMAIN, '--yes'], join(file, 'below'));
    expect([below.code, below.err]).toEqual([2, expect.stringMatching(/could not be written: ENOTDIR/)]);
  });
});

const HOSTILE = [
  ['a folder with quotes, a blank, a comment and an expansion', `it's "a" #{x}: $(touch pwned), é`, []],
  ['a selector with quotes and an expansion', 'plain', ['--selector', `unix:user:a'b"$(touch pwned)`]],
  ['words that YAML reads as something else', 'true', ['--tools', 'null.acme.test']],
] as const;

describe('remit init with hostile values', () => {
  it.each(HOSTILE)('quotes %s in each format', async (_name, name, args) => {
    const parent = fresh();
    mkdirSync(parent);
    const { code, at, textOf } = await made([...DOMAIN, '--yes', ...args], join(parent, name));
    expect([code, problemsOf(at, textOf('remit.yaml'))]).toEqual([0, []]);
    expect(parse(textOf('remit.yaml')).extAuthz.listen).toBe(`unix:${at}/run/check.sock`);
    expect(JSON.stringify(parse(textOf('envoy.yaml')))).toContain(JSON.stringify(`${at}/run/check.sock`));
    // The shell passes each selector as one argument, and runs nothing.
    const printing = join(parent, 'print');
    writeFileSync(printing, '#!/bin/sh\nprintf "%s\\n" "$@"\n', { mode: 0o755 });
    const { stdout } = await promisify(execFile)('sh', [join(at, 'register.sh'), '-socketPath', '/a b'], {
      cwd: parent,
      env: { ...process.env, SPIRE_SERVER: printing },
    });
    const lines = stdout.split('\n');
    expect(lines.filter((line) => line === (args[0] === '--selector' ? args[1] : 'unix:user:remit'))).not.toEqual([]);
    expect(lines).toContain('/a b');
    expect(readdirSync(parent)).not.toContain('pwned');
  });
});

it('register.sh makes the other entries if an entry cannot be made, and says so by its exit code', async () => {
  const { at } = await made([...DOMAIN, '--yes']);
  const server = join(at, 'server');
  writeFileSync(server, '#!/bin/sh\necho "$6"\n[ "$6" != spiffe://acme.test/remit ]\n', { mode: 0o755 });
  const environment = { ...process.env, SPIRE_SERVER: server };
  const ended = promisify(execFile)('sh', [join(at, 'register.sh')], { env: environment });
  await expect(ended).rejects.toMatchObject({
    code: 1,
    stdout: 'spiffe://acme.test/remit\nspiffe://acme.test/envoy\nspiffe://acme.test/agents/planner\n',
  });
});

describeWith(helmPart(), 'remit init, and the chart', ([helm]) => {
  it.each(HOSTS.filter((host) => host !== 'envoy'))('registers the names that the chart needs for %s', async (host) => {
    const { at, textOf } = await made(['--trust-domain', 'own.test', '--host', host, '--yes']);
    const objects = objectsOf(await mustTemplate(helm, ['--namespace', 'remit', '--values', join(at, 'values.yaml')]));
    const configOf = (name: string) =>
      parse(
        objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name)?.data?.['remit.yaml'] ??
          '',
      );
    const [authority, sidecar] = [configOf('remit-authority'), configOf('remit-sidecar')];
    const served: readonly string[] = authority.authority.sidecars.map(({ id }: { readonly id: string }) => id);
    const registered = [...textOf('register.sh').matchAll(/-spiffeID (\S+)/g)].map(([, id]) => id);
    expect(served).not.toEqual([]);
    expect(registered).toEqual(expect.arrayContaining([sidecar.authority.id, ...served]));
    expect(textOf('register.sh')).toContain(`-dns ${new URL(authority.issuer.url).hostname}`);
    expect(parse(textOf('remit.yaml')).issuer.url).toBe(authority.issuer.url);
  });
});

describeWith(envoyPart(), 'remit init, and Envoy', (envoy) => {
  it.each([
    ['a tool server on loopback', []],
    [
      'a tool server by its name, over mutual TLS',
      ['--upstream', 'crm.internal:8443', '--tool', 'spiffe://acme.test/crm'],
    ],
    ['IPv6', ['--upstream', '[::1]:8080', '--listen', '[::1]:8443']],
  ])('writes a configuration that Envoy accepts for %s', async (_name, args) => {
    const { at } = await made([...DOMAIN, '--yes', ...args]);
    const { stdout, stderr } = await promisify(execFile)(envoy, ['--mode', 'validate', '-c', join(at, 'envoy.yaml')]);
    expect(`${stdout}${stderr}`).toContain(`configuration '${join(at, 'envoy.yaml')}' OK`);
  });
});

const root: Part<true> = {
  name: 'root, to mount a tmpfs',
  found: process.getuid?.() === 0 || null,
  enable: 'sudo npm test',
};

describeWith(root, 'remit init on a full disk', () => {
  it('says so, changes no file, and leaves none behind', async () => {
    const disk = fresh();
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k,mode=0700', 'tmpfs', disk]);
    try {
      const at = join(disk, 'host');
      expect((await made([...DOMAIN, '--yes'], at)).code).toBe(0);
      const before = filesIn(at);
      fillDisk(join(disk, 'ballast'));
      const { code, err } = await made([...DOMAIN, '--tools', 'other.acme.test', '--yes', '--force'], at);
      expect([code, err]).toEqual([
        2,
        expect.stringContaining('could not be written: ENOSPC: no space left on device'),
      ]);
      expect(filesIn(at)).toEqual(before);
    } finally {
      execFileSync('umount', [disk]);
    }
  });
});

/** The texts of all files below a folder. */
const filesIn = (at: string): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(at, { recursive: true, encoding: 'utf8' })
      .filter((name) => statSync(join(at, name)).isFile())
      .map((name) => [name, readFileSync(join(at, name), 'utf8')]),
  );
